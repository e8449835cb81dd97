// Every layer a row, every head a column; click or arrow keys enlarge one.

export default function (component) {
  const { data } = component
  const view = viewOf(component, mount)
  view.data = data
  view.selected = data.selected
  view.hover = null
  const [width, height] = [data.heads * data.pitch - data.gap, data.layers * data.pitch - data.gap]
  view.frame.style.aspectRatio = `${width} / ${height}`
  view.frame.style.maxWidth = `${Math.round((data.maxHeight * width) / height)}px`
  if (view.image.getAttribute("src") !== data.image) view.image.src = data.image
  view.frame.setAttribute("aria-label", data.alt)
  show(view)
}

function mount(parent) {
  const view = {
    frame: parent.querySelector(".frame"),
    image: parent.querySelector("img"),
    mark: parent.querySelector(".mark"),
    ghost: parent.querySelector(".ghost"),
    caption: parent.querySelector("p"),
  }
  const { frame } = view
  frame.addEventListener("pointermove", (event) => {
    view.hover = cellAt(view, event)
    show(view)
  })
  frame.addEventListener("pointerleave", () => {
    view.hover = null
    show(view)
  })
  frame.addEventListener("click", (event) => choose(view, cellAt(view, event)))
  frame.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }
    if (!(event.key in steps)) return
    event.preventDefault()
    const [layer, head] = view.selected
    choose(view, [
      Math.min(view.data.layers - 1, Math.max(0, layer + steps[event.key][0])),
      Math.min(view.data.heads - 1, Math.max(0, Math.max(0, head) + steps[event.key][1])),
    ])
  })
  return view
}

function cellAt(view, event) {
  const box = view.frame.getBoundingClientRect()
  const { layers, heads } = view.data
  const layer = Math.floor(((event.clientY - box.top) / box.height) * layers)
  const head = Math.floor(((event.clientX - box.left) / box.width) * heads)
  return [Math.min(layers - 1, Math.max(0, layer)), Math.min(heads - 1, Math.max(0, head))]
}

function choose(view, cell) {
  view.selected = cell
  show(view)
  // The time makes every choice a new value: choosing the same cell again must count.
  view.send("cell", [...cell, Date.now()])
}

function place(element, view, cell) {
  const { layers, heads, pitch, cell: size, gap } = view.data
  const [width, height] = [heads * pitch - gap, layers * pitch - gap]
  const wide = cell[1] < 0
  element.style.display = "block"
  element.style.left = `${(100 * (wide ? 0 : cell[1]) * pitch) / width}%`
  element.style.top = `${(100 * cell[0] * pitch) / height}%`
  element.style.width = `${wide ? 100 : (100 * size) / width}%`
  element.style.height = `${(100 * size) / height}%`
}

function show(view) {
  place(view.mark, view, view.selected)
  if (view.hover) place(view.ghost, view, view.hover)
  else view.ghost.style.display = "none"
  const [layer, head] = view.hover ?? view.selected
  const [outer, inner] = view.data.noun
  const first = `${outer[0].toUpperCase()}${outer.slice(1)} ${layer + 1}`
  view.caption.textContent = head < 0 ? `${first}, all ${inner}s` : `${first}, ${inner} ${head + 1}`
}
