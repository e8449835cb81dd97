// Strokes by mouse or finger; the server gets the drawing, small and grey, whenever a stroke ends.

export default function (component) {
  const { data, parentElement, setStateValue } = component
  const known = views.get(parentElement)
  const view = known ?? mount(parentElement)
  views.set(parentElement, view)
  view.send = setStateValue
  view.side = data.side
  view.canvas.setAttribute("aria-label", data.alt)
  // Coming back to the page: what the server still knows is drawn again.
  if (!known && data.drawing) restore(view, data.drawing)
}

function mount(parent) {
  const canvas = parent.querySelector("canvas")
  const view = { canvas, context: canvas.getContext("2d"), last: null, said: parent.querySelector("span") }
  clear(view)
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId)
    view.last = pointOf(view, event)
    stroke(view, view.last)
  })
  canvas.addEventListener("pointermove", (event) => {
    if (view.last) stroke(view, pointOf(view, event))
  })
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, () => {
      if (!view.last) return
      view.last = null
      view.send("drawing", packed(view))
    })
  }
  parent.querySelector("button").onclick = () => {
    clear(view)
    view.send("drawing", "")
  }
  return view
}

function clear(view) {
  view.context.fillStyle = "#000"
  view.context.fillRect(0, 0, view.canvas.width, view.canvas.height)
}

function pointOf(view, event) {
  const box = view.canvas.getBoundingClientRect()
  const share = view.canvas.width / box.width
  return [(event.clientX - box.left) * share, (event.clientY - box.top) * share]
}

function stroke(view, point) {
  const { context } = view
  context.strokeStyle = "#fff"
  context.lineWidth = view.canvas.width / 12
  context.lineCap = context.lineJoin = "round"
  context.beginPath()
  context.moveTo(...view.last)
  // A single touch is a dot.
  context.lineTo(point[0] + 0.01, point[1])
  context.stroke()
  view.last = point
}

function packed(view) {
  const small = document.createElement("canvas")
  small.width = small.height = view.side
  const context = small.getContext("2d", { willReadFrequently: true })
  context.imageSmoothingQuality = "high"
  context.drawImage(view.canvas, 0, 0, view.side, view.side)
  const pixels = context.getImageData(0, 0, view.side, view.side).data
  let text = ""
  for (let pixel = 0; pixel < view.side ** 2; pixel += 1) text += String.fromCharCode(pixels[4 * pixel])
  return btoa(text)
}

function restore(view, drawing) {
  const bytes = atob(drawing)
  const small = document.createElement("canvas")
  small.width = small.height = view.side
  const context = small.getContext("2d")
  const image = context.createImageData(view.side, view.side)
  for (let pixel = 0; pixel < view.side ** 2; pixel += 1) {
    image.data.fill(bytes.charCodeAt(pixel), 4 * pixel, 4 * pixel + 3)
    image.data[4 * pixel + 3] = 255
  }
  context.putImageData(image, 0, 0)
  view.context.drawImage(small, 0, 0, view.canvas.width, view.canvas.height)
}
