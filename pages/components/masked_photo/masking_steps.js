// Patches taken away by a slider: picture, answer and place on the curve follow the hand without the server, which hears
// of a step when the hand rests. What the model says comes step by step, over a feed.
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
  dragAlong(view.chart, () => view.data.captions.length - 1, (step) => move(view, step))
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
  view.mark?.(step)
}

// --- The chart, drawn anew when more is known ---

function drawChart(view) {
  const { chart, data, told, step } = view
  if (!data) return
  const last = data.captions.length - 1
  const values = (told?.lines ?? []).flatMap((line) => line.values.filter((value) => value != null))
  view.mark = drawLines(chart, view.key, {
    last,
    low: Math.min(0, ...values),
    high: 1,
    ticks: [0, 0.25, 0.5, 0.75, 1].map((value) => [value, value.toFixed(2)]),
    stops: [0, 0.25, 0.5, 0.75, 1].map((share) => [share * last, `${100 * share}`]),
    title: "patches removed (%)",
    lines: (told?.lines ?? []).map((line, place) => ({ ...line, marked: place === 0 })),
    band: told?.band,
  })
  view.mark?.(step)
}
