// Two photos side by side: shares of an even spread on one scale, and the pointer over one is the pointer over both.

// On the page, as each component may have a module of its own.
const LINKED = (window.vitrineLinked ??= new Map())

function join(view) {
  const { linked } = view.data
  view.whole.toggleAttribute("data-linked", Boolean(linked))
  if (linked) LINKED.set(linked, new Set([...(LINKED.get(linked) ?? [])].filter((each) => each.whole.isConnected)).add(view))
}

const partners = (view) => [...(LINKED.get(view.data.linked) ?? [])].filter((each) => each.whole.isConnected)

// The same place of the photo in the other view, which may see another part of it in other patches.
function pointTogether(view, patch) {
  const { rows, cols, part } = view.data
  const across = part[0] + (((patch % cols) + 0.5) / cols) * (part[2] - part[0])
  const down = part[1] + ((Math.floor(patch / cols) + 0.5) / rows) * (part[3] - part[1])
  for (const other of partners(view)) {
    if (other === view) continue
    const { rows, cols, part } = other.data
    const column = Math.floor(((across - part[0]) / (part[2] - part[0])) * cols)
    const row = Math.floor(((down - part[1]) / (part[3] - part[1])) * rows)
    const seen = row >= 0 && row < rows && column >= 0 && column < cols
    other.hover = patch !== null && seen ? row * cols + column : null
    show(other)
  }
}

// Magnitudes, mean of the heads, over an even spread: core's numbers of the comparison. Null while on their way.
function densityOf(view, query) {
  const { data, choice } = view
  let values = null
  if (choice.kind === "rollout") values = valuesOf(view, choice, query)
  else {
    const heads = Array.from({ length: data.heads }, (_, head) => valuesOf(view, { ...choice, head: String(head + 1) }, query))
    if (heads.every(Boolean)) values = heads[0].map((_, patch) => heads.reduce((sum, each) => sum + Math.abs(each[patch]), 0))
  }
  if (!values) return null
  const total = values.reduce((sum, each) => sum + each, 0) || 1
  return values.map((each) => (each / total) * values.length)
}

function drawLinked(view, context, photo, side) {
  const { data } = view
  context.drawImage(faint(view, photo, side), 0, 0)
  const values = densityOf(view, view.hover ?? -1)
  if (!values) return
  const reach = reachOf(values)
  const changed = view.reach !== reach
  view.reach = reach
  const all = partners(view)
  if (changed) all.filter((each) => each !== view).forEach(show)
  const most = Math.max(...all.map((each) => each.reach ?? 0))
  drawHeat(context, view, values, [0, 0, side], 160, false, most)
  drawGrid(context, data, side)
  if (view.hover !== null) outline(context, data, view.hover, side, "#ffffff")
  const best = values.indexOf(Math.max(...values))
  const place = (patch) => `row ${Math.floor(patch / data.cols) + 1}, column ${(patch % data.cols) + 1}`
  const who = view.hover === null ? data.readerName : `the patch at ${place(view.hover)}`
  say(view, `Most of ${who}: ${values[best].toFixed(1)}× an even spread, at ${place(best)}.`)
  showScale(view, { signed: false, low: "0", high: `${most.toFixed(1)}×`, unit: "an even spread, for both" })
}
