// Patches taken away by a slider: picture, answer and place on the curve follow the hand without the server, which hears
// of a step when the hand rests. What the model says comes step by step, over a feed.
const SVG = "http://www.w3.org/2000/svg"
const EDGES = { left: 44, right: 10, top: 10, bottom: 40 }

export default function (component) {
  const { data } = component
  const view = viewOf(component, mount)
  view.data = data
  if (isNews(view, data.step)) view.step = data.step
  view.slider.max = data.captions.length - 1
  view.canvas.setAttribute("aria-label", data.alt)
  loadPictures(view, data, show)
  listenTo(view, data.channel, (told) => {
    view.told = told
    if (view.data.channel !== data.channel) return
    drawChart(view)
    show(view)
  })
  drawChart(view)
  show(view)
}

function mount(parent) {
  const find = (name) => parent.querySelector(name)
  const view = {
    canvas: find("canvas"),
    slider: find("input"),
    caption: find("output"),
    headline: find("h4"),
    chart: find("svg"),
    key: find("ul"),
    said: find("p"),
    measure: find(".measure"),
    bar: find("progress"),
    told: null,
    step: 0,
  }
  view.slider.addEventListener("input", () => move(view, Number(view.slider.value)))
  const drag = (event) => {
    if (event.type === "pointermove" && !(event.buttons & 1)) return
    const box = view.chart.getBoundingClientRect()
    const along = (event.clientX - box.left - EDGES.left) / (box.width - EDGES.left - EDGES.right)
    move(view, Math.round(Math.min(1, Math.max(0, along)) * (view.data.captions.length - 1)))
  }
  view.chart.addEventListener("pointerdown", drag)
  view.chart.addEventListener("pointermove", drag)
  new ResizeObserver(() => drawChart(view)).observe(view.chart)
  return view
}

function move(view, step) {
  if (step === view.step) return
  view.step = step
  atNextFrame(view, show)
  sendAtRest(view, "step", step)
}

// --- What the slider moves ---

function show(view) {
  const { data, told, step } = view
  if (!data) return
  const removed = told?.order ? told.order.slice(0, data.counts[step]) : []
  drawMasked(view, view.canvas, removed)
  view.slider.value = step
  view.caption.textContent = told?.order ? data.captions[step] : told?.progress?.text ?? "…"
  view.headline.textContent = told?.headlines?.[step] ?? "Asking the model …"
  view.slider.setAttribute("aria-valuetext", `${data.captions[step]}. ${view.headline.textContent}`)
  view.measure.textContent = told?.measure ?? ""
  view.said.textContent = told?.progress ? told.progress.text : told?.sentence ?? ""
  view.bar.hidden = !told?.progress
  if (told?.progress) view.bar.value = told.progress.share
  showPoint(view)
}

function showPoint(view) {
  const { told, point, line, step } = view
  const value = told?.lines?.[0]?.values[step]
  point?.setAttribute("visibility", value == null ? "hidden" : "visible")
  if (!point || !view.place) return
  const [x] = view.place(step, 0)
  line.setAttribute("x1", x)
  line.setAttribute("x2", x)
  if (value == null) return
  const [, y] = view.place(step, value)
  point.setAttribute("cx", x)
  point.setAttribute("cy", y)
}

// --- The chart, drawn anew when more is known ---

function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name)
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value)
  if (text !== undefined) made.textContent = text
  return made
}

function drawChart(view) {
  const { chart, data, told } = view
  const [width, height] = [chart.clientWidth, chart.clientHeight]
  if (!data || !width || !height) return
  const low = Math.min(0, ...(told?.lines ?? []).flatMap((line) => line.values.filter((value) => value != null)))
  const last = data.captions.length - 1
  view.place = (step, value) => [
    EDGES.left + (step / last) * (width - EDGES.left - EDGES.right),
    EDGES.top + ((1 - value) / (1 - low)) * (height - EDGES.top - EDGES.bottom),
  ]
  chart.setAttribute("viewBox", `0 0 ${width} ${height}`)
  chart.replaceChildren(...axes(view, height, low, last))
  const { band } = told ?? {}
  if (band) {
    const points = [...band.high.map((value, step) => [step, value]), ...band.low.map((value, step) => [step, value]).reverse()]
    chart.append(element("polygon", { class: "band", points: points.map(([step, value]) => view.place(step, value).join()).join(" ") }))
    chart.append(curve(view, { values: band.mean, colour: band.colour, dash: "2 4", width: 2 }))
  }
  const lines = [...(told?.lines ?? [])].reverse() // the slider's own on top
  chart.append(...lines.map((line) => curve(view, line)))
  const [, bottom] = view.place(0, low)
  view.line = element("line", { class: "now", y1: EDGES.top, y2: bottom })
  view.point = element("circle", { class: "point", r: 8 })
  chart.append(view.line, view.point)
  const named = [...(told?.lines ?? []), ...(band ? [band] : [])]
  view.key.replaceChildren(...named.map((line) => keyOf(line, line === band)))
  showPoint(view)
}

function axes(view, height, low, last) {
  const [left, bottom] = view.place(0, low)
  const [right] = view.place(last, low)
  const ticks = [0, 0.25, 0.5, 0.75, 1]
  const made = ticks.flatMap((value) => {
    const [, y] = view.place(0, value)
    return [
      element("line", { class: "grid", x1: left, x2: right, y1: y, y2: y }),
      element("text", { x: left - 6, y: y + 4, "text-anchor": "end" }, value.toFixed(2)),
    ]
  })
  const shares = ticks.map((share) => {
    const x = left + share * (right - left)
    return element("text", { x, y: bottom + 16, "text-anchor": share === 1 ? "end" : "middle" }, `${100 * share}`)
  })
  const title = element("text", { x: (left + right) / 2, y: height - 4, "text-anchor": "middle" }, "patches removed (%)")
  return [...made, ...shares, title]
}

// A curve through the steps that are known: between two of them it is a straight line, of which dots are the truth.
function curve(view, { values, colour, dash = "", width = 3 }) {
  const known = values.flatMap((value, step) => (value == null ? [] : [view.place(step, value)]))
  const group = element("g", { style: `stroke: ${colour}; color: ${colour}` })
  group.append(element("polyline", { points: known.map((each) => each.join()).join(" "), "stroke-dasharray": dash, "stroke-width": width }))
  if (known.length < values.length) known.forEach(([cx, cy]) => group.append(element("circle", { class: "known", cx, cy, r: 3 })))
  return group
}

function keyOf({ title, colour }, wide) {
  const item = document.createElement("li")
  const sign = document.createElement("i")
  sign.style.background = colour
  sign.className = wide ? "wide" : ""
  item.append(sign, title)
  return item
}
