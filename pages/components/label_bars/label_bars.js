// A row per label that keeps its element while it moves, so that the eye can follow it.
const PITCH = 38

export default function (component) {
  const { data, parentElement, setStateValue } = component
  const view = views.get(parentElement) ?? { list: parentElement.querySelector(".bars"), rows: new Map() }
  views.set(parentElement, view)
  view.list.setAttribute("aria-label", data.alt)
  view.list.style.height = `${data.bars.length * PITCH}px`
  parentElement.querySelector("p").textContent = data.rest
  const most = Math.max(1e-9, ...data.bars.map((bar) => bar.share))
  const wanted = new Set(data.bars.map((bar) => bar.label))
  for (const [label, row] of view.rows) {
    if (wanted.has(label)) continue
    row.style.opacity = 0
    setTimeout(() => row.style.opacity === "0" && row.remove(), 300)
    view.rows.delete(label)
  }
  data.bars.forEach((bar, place) => {
    const row = view.rows.get(bar.label) ?? build(view, bar.label, data.bars.length)
    row.onclick = () => setStateValue("chosen", bar.label)
    row.title = bar.detail
    row.setAttribute("aria-label", `${place + 1}. ${bar.label}: ${percent(bar.share)}. ${bar.detail}`)
    row.setAttribute("aria-pressed", String(bar.label === data.chosen))
    row.classList.toggle("best", place === 0)
    row.classList.toggle("chosen", bar.label === data.chosen)
    row.querySelector(".name").textContent = bar.label
    row.querySelector(".value").textContent = percent(bar.share)
    row.querySelector(".mark").textContent = bar.mark
    const fill = row.querySelector(".fill")
    fill.classList.toggle("unseen", bar.mark !== "")
    // Room for the figure behind the longest bar, and for what is said of some.
    const room = data.bars.some((each) => each.mark) ? "8.5rem" : "5rem"
    const width = `calc((100% - ${room}) * ${bar.share / Math.max(most, 0.2)})`
    requestAnimationFrame(() => {
      row.style.transform = `translateY(${place * PITCH}px)`
      row.style.opacity = 1
      fill.style.width = width
    })
    // Elements stand in the order of the ranks too, for the keyboard and for screen readers.
    if (view.list.children[place] !== row) view.list.insertBefore(row, view.list.children[place] ?? null)
  })
}

function build(view, label, count) {
  const row = document.createElement("button")
  row.type = "button"
  row.innerHTML =
    '<span class="name"></span><span class="track"><span class="fill"></span><span class="value"></span>' +
    '<span class="mark"></span></span>'
  row.querySelector(".fill").style.width = "0"
  row.style.opacity = 0
  row.style.transform = `translateY(${count * PITCH}px)`
  view.rows.set(label, row)
  return row
}

function percent(share) {
  return share >= 0.0995 || share === 0 ? `${Math.round(share * 100)} %` : `${(share * 100).toPrecision(2)} %`
}
