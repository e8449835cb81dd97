// A photo whose patches are removed by hand: drag over them, or move with the arrow keys and press Enter. Undo and clear.
export default function (component) {
  const { data } = component
  const view = viewOf(component, mount)
  if (view.data && (view.data.rows !== data.rows || view.data.cols !== data.cols)) {
    view.hover = null // left from another grid
    view.past = []
  }
  view.data = data
  if (isNews(view, data.removed)) {
    view.removed = new Set(data.removed)
    view.past = []
  }
  view.top.setAttribute("aria-label", data.alt)
  loadPictures(view, data, draw)
  draw(view)
}

function mount(parent) {
  const find = (name) => parent.querySelector(name)
  const view = {
    base: find(".base"),
    top: find(".top"),
    undo: find(".undo"),
    clear: find(".clear"),
    said: find("output"),
    removed: new Set(),
    past: [],
    hover: null,
    stroke: null, // whether the drag removes patches or gives them back; null while there is none
  }
  const { top } = view
  top.addEventListener("pointermove", (event) => {
    const patch = patchAt(view, event)
    if (view.stroke !== null) paint(view, patch)
    if (patch !== view.hover) {
      view.hover = patch
      atNextFrame(view, draw)
    }
  })
  top.addEventListener("pointerdown", (event) => {
    top.setPointerCapture(event.pointerId)
    const patch = patchAt(view, event)
    begin(view, patch)
    paint(view, patch)
  })
  top.addEventListener("pointerup", () => end(view))
  top.addEventListener("pointercancel", () => end(view))
  for (const gone of ["pointerleave", "blur"])
    top.addEventListener(gone, () => {
      view.hover = null
      draw(view)
    })
  view.undo.addEventListener("click", () => undo(view))
  view.clear.addEventListener("click", () => {
    view.past.push([...view.removed])
    view.removed = new Set()
    changed(view)
  })
  parent.querySelector(".painter").addEventListener("keydown", (event) => onKey(view, event))
  new ResizeObserver(() => draw(view)).observe(top)
  return view
}

function patchAt(view, event) {
  const box = view.top.getBoundingClientRect()
  const { rows, cols } = view.data
  const column = Math.floor(((event.clientX - box.left) / box.width) * cols)
  const row = Math.floor(((event.clientY - box.top) / box.height) * rows)
  return Math.min(rows - 1, Math.max(0, row)) * cols + Math.min(cols - 1, Math.max(0, column))
}

function begin(view, patch) {
  view.past.push([...view.removed])
  view.stroke = !view.removed.has(patch)
}

function paint(view, patch) {
  if (view.stroke) view.removed.add(patch)
  else view.removed.delete(patch)
  atNextFrame(view, draw)
}

function end(view) {
  if (view.stroke === null) return
  view.stroke = null
  changed(view)
}

function undo(view) {
  if (!view.past.length) return
  view.removed = new Set(view.past.pop())
  changed(view)
}

function changed(view) {
  draw(view)
  sendAtRest(view, "removed", [...view.removed].sort((a, b) => a - b), 60)
}

function onKey(view, event) {
  if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey) && !event.shiftKey) undo(view)
  else if (event.target !== view.top || !moved(view, event.key)) return
  event.preventDefault()
}

// Whether the key meant something.
function moved(view, key) {
  const { rows, cols } = view.data
  const at = view.hover ?? Math.floor(rows / 2) * cols + Math.floor(cols / 2)
  if (key === "Enter" || key === " ") {
    begin(view, at)
    view.hover = at
    paint(view, at)
    end(view)
    return true
  }
  const [row, column] = [Math.floor(at / cols), at % cols]
  const [down, across] = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[key] ?? []
  if (down === undefined) return false
  view.hover = Math.min(rows - 1, Math.max(0, row + down)) * cols + Math.min(cols - 1, Math.max(0, column + across))
  draw(view)
  return true
}

function draw(view) {
  const { data, removed, hover, top } = view
  if (!data) return
  const count = data.rows * data.cols
  view.undo.disabled = !view.past.length
  view.clear.disabled = !removed.size
  const place = hover === null ? "" : ` Row ${Math.floor(hover / data.cols) + 1}, column ${(hover % data.cols) + 1}.`
  view.said.textContent = `${removed.size} of ${count} patches removed.${place}`
  drawMasked(view, view.base, removed)
  const side = Math.round(top.clientWidth * (window.devicePixelRatio || 1))
  if (!side) return
  if (top.width !== side) top.width = top.height = side
  const context = top.getContext("2d")
  context.clearRect(0, 0, side, side)
  context.strokeStyle = "rgba(255,255,255,.2)"
  context.lineWidth = Math.max(1, side / 900)
  for (let patch = 0; patch < count; patch++) context.strokeRect(...placeOfPatch(data, patch, side, side))
  if (hover === null) return
  for (const [colour, width] of [
    ["rgba(0,0,0,.8)", 4],
    ["#ffffff", 2],
  ]) {
    context.strokeStyle = colour
    context.lineWidth = (width * side) / 440
    context.strokeRect(...placeOfPatch(data, hover, side, side))
  }
}
