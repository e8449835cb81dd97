// Images and captions as two clouds on their way onto each other: a slider moves clouds, numbers and the place on the
// curves without the server, which hears of a stop when the hand rests.
export default function (component) {
  const { data } = component
  const view = viewOf(component, mount)
  view.data = data
  const last = data.titles.length - 1
  if (isNews(view, data.stop)) view.stop = data.titles.indexOf(data.stop)
  view.stop = Math.min(last, Math.max(0, view.stop))
  view.slider.max = last
  view.canvas.setAttribute("aria-label", data.alt)
  const plane = data.planes[data.plane]
  view.across.textContent = plane.axes[0]
  view.up.textContent = plane.axes[1]
  sortPoints(view)
  if (view.address !== plane.address) load(view, plane.address)
  drawCharts(view)
  show(view)
}

function mount(parent) {
  const find = (name) => parent.querySelector(name)
  const view = {
    canvas: find("canvas"),
    slider: find("input"),
    here: find("output"),
    tiles: find(".tiles"),
    charts: [...parent.querySelectorAll("svg")],
    keys: [...parent.querySelectorAll(".right ul")],
    said: find("p"),
    across: find(".across"),
    up: find(".up"),
    stop: 0,
    address: null,
    points: null,
    marks: [],
    near: null,
  }
  view.slider.addEventListener("input", () => move(view, Number(view.slider.value)))
  view.charts.forEach((chart) => dragAlong(chart, () => view.data.titles.length - 1, (stop) => move(view, stop)))
  view.canvas.addEventListener("pointermove", (event) => point(view, nearest(view, event)))
  view.canvas.addEventListener("pointerleave", () => point(view, null))
  new ResizeObserver(() => {
    drawCharts(view)
    show(view)
  }).observe(view.canvas)
  return view
}

async function load(view, address) {
  view.address = address
  const bytes = await fetched(view, address, "The clouds")
  if (!bytes || view.address !== address) return // or another plane was asked for meanwhile
  view.points = new Uint16Array(bytes.buffer)
  show(view)
}

function move(view, stop) {
  if (stop === view.stop) return
  view.stop = stop
  view.near = null
  atNextFrame(view, show)
  sendAtRest(view, "stop", view.data.titles[stop])
}

// What is drawn in one colour, together: by side, or by side and class.
function sortPoints(view) {
  const { labels, by_class: byClass, palette, colours } = view.data
  view.groups = [0, 1].flatMap((side) => {
    const found = new Map()
    labels.forEach((label, row) => {
      const colour = byClass ? palette[label % palette.length] : colours[side]
      found.set(colour, [...(found.get(colour) ?? []), row])
    })
    return [...found].map(([colour, rows]) => ({ side, colour, rows }))
  })
}

function show(view) {
  const { data, stop } = view
  if (!data) return
  view.slider.value = stop
  view.here.textContent = data.titles[stop]
  view.slider.setAttribute("aria-valuetext", `${data.titles[stop]}. ${data.tiles.map((tile) => `${tile.title} ${tile.values[stop]}`).join(", ")}`)
  view.tiles.replaceChildren(...data.tiles.map((tile) => tileOf(tile, stop)))
  view.marks.forEach((mark) => mark?.(stop))
  drawClouds(view)
}

function tileOf({ title, values, notes }, stop) {
  const made = document.createElement("div")
  for (const [name, text] of [
    ["small", title],
    ["b", values[stop]],
    ["span", notes[stop]],
  ]) {
    const line = document.createElement(name)
    line.textContent = text
    made.append(line)
  }
  return made
}

// --- The clouds ---

// From shares of the plane's range to pixels; where both axes are of one kind, of one scale.
function scaleOf(view) {
  const { canvas, data } = view
  const { span, equal } = data.planes[data.plane]
  const [width, height] = [canvas.width, canvas.height]
  const unit = Math.min(width / span[0], height / span[1])
  const [wide, high] = equal ? span.map((each) => each * unit) : [width, height]
  return (x, y) => [(width - wide) / 2 + x * wide, (height + high) / 2 - y * high]
}

function placeOf(view, side, row) {
  const at = 2 * ((2 * view.stop + side) * view.data.labels.length + row)
  return [view.points[at] / 65535, view.points[at + 1] / 65535]
}

function drawClouds(view) {
  const { canvas, data, points, near } = view
  const ratio = window.devicePixelRatio || 1
  const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((side) => Math.round(side * ratio))
  if (!width || !height) return
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height]
  const context = canvas.getContext("2d")
  context.clearRect(0, 0, width, height)
  if (!points || points.length !== 4 * data.titles.length * data.labels.length) return
  const scaled = scaleOf(view)
  const pixel = (side, row) => scaled(...placeOf(view, side, row))
  context.lineWidth = ratio
  context.strokeStyle = "rgba(128,128,128,.3)"
  context.beginPath()
  for (let row = 0; row < Math.min(data.threads, data.labels.length); row++) {
    context.moveTo(...pixel(0, row))
    context.lineTo(...pixel(1, row))
  }
  context.stroke()
  for (const { side, colour, rows } of view.groups) {
    context.fillStyle = colour
    context.globalAlpha = side ? 0.9 : 0.6
    context.beginPath()
    for (const row of rows) dot(context, side, ...pixel(side, row), (side ? 5 : 3) * ratio)
    context.fill()
  }
  context.globalAlpha = 1
  const means = data.planes[data.plane].means[view.stop].map((mean) => scaled(...mean))
  context.strokeStyle = "#ffc400"
  context.lineWidth = 4 * ratio
  context.beginPath()
  context.moveTo(...means[0])
  context.lineTo(...means[1])
  context.stroke()
  means.forEach((mean, side) => {
    context.fillStyle = data.colours[side]
    context.beginPath()
    dot(context, side, ...mean, 9 * ratio)
    context.fill()
    context.stroke()
  })
  if (!near) return
  context.strokeStyle = getComputedStyle(canvas).color
  context.lineWidth = 2 * ratio
  context.beginPath()
  dot(context, near.side, ...pixel(near.side, near.row), 8 * ratio)
  context.stroke()
}

// Images are dots, captions diamonds.
function dot(context, side, x, y, size) {
  if (!side) {
    context.moveTo(x + size, y)
    context.arc(x, y, size, 0, 2 * Math.PI)
    return
  }
  context.moveTo(x, y - size)
  context.lineTo(x + size, y)
  context.lineTo(x, y + size)
  context.lineTo(x - size, y)
  context.closePath()
}

function nearest(view, event) {
  if (!view.points) return null
  const box = view.canvas.getBoundingClientRect()
  const factor = view.canvas.width / box.width
  const [x, y] = [(event.clientX - box.left) * factor, (event.clientY - box.top) * factor]
  const scaled = scaleOf(view)
  let [best, distance] = [null, 14 * factor]
  for (let row = 0; row < view.data.labels.length; row++)
    for (const side of [0, 1]) {
      const [left, top] = scaled(...placeOf(view, side, row))
      const away = Math.hypot(left - x, top - y)
      if (away < distance) [best, distance] = [{ side, row }, away]
    }
  return best
}

function point(view, near) {
  view.near = near
  const { names, labels } = view.data
  view.said.textContent = near ? `${near.side ? "Caption" : "Image"}: ${names[labels[near.row]]}` : ""
  atNextFrame(view, drawClouds)
}

function drawCharts(view) {
  const { data } = view
  if (!data) return
  view.marks = data.charts.map((chart, place) =>
    drawLines(view.charts[place], view.keys[place], { ...chart, last: data.titles.length - 1, lines: chart.lines.map((line) => ({ marked: true, ...line })) }),
  )
  view.marks.forEach((mark) => mark?.(view.stop))
}
