// A square photo with a patch grid. Looking: hover or select a patch and see what it attends to.
// Painting: drag over patches to remove them. Everything is drawn here; the server hears of selections only.

export default function (component) {
  const { data } = component
  const view = viewOf(component, mount)
  view.data = data
  view.selected = data.selected ?? -1
  view.removed = new Set(data.removed ?? [])
  view.weights = data.weights ? bytesOf(data.weights) : null
  view.colours = bytesOf(data.colours)
  view.canvas.setAttribute("aria-label", data.alt)
  if (view.hover !== null && view.hover >= data.rows * data.cols) view.hover = null // left from a finer grid
  view.canvas.style.touchAction = data.mode === "paint" ? "none" : "manipulation"
  view.canvas.style.cursor = data.mode === "paint" ? "cell" : "crosshair"
  if (data.filling && view.under !== data.filling) {
    view.under = data.filling
    view.filling.src = data.filling
  }
  if (view.source !== data.image) {
    view.source = data.image
    view.photo.src = data.image
  } else draw(view)
}

function mount(parent) {
  const canvas = parent.querySelector("canvas")
  const caption = parent.querySelector("p")
  const view = { canvas, caption, photo: new Image(), filling: new Image(), hover: null, painting: null }
  view.photo.onload = () => draw(view)
  view.filling.onload = () => draw(view)
  new ResizeObserver(() => draw(view)).observe(canvas)
  canvas.addEventListener("pointermove", (event) => {
    const patch = patchAt(view, event)
    if (view.painting !== null) paint(view, patch)
    if (patch !== view.hover) {
      view.hover = patch
      draw(view)
    }
  })
  canvas.addEventListener("pointerleave", () => {
    view.hover = null
    draw(view)
  })
  canvas.addEventListener("pointerdown", (event) => {
    if (view.data.mode !== "paint") return
    canvas.setPointerCapture(event.pointerId)
    const patch = patchAt(view, event)
    view.painting = !view.removed.has(patch)
    paint(view, patch)
  })
  canvas.addEventListener("pointerup", () => {
    if (view.painting === null) return
    view.painting = null
    view.send("removed", [...view.removed].sort((a, b) => a - b))
  })
  canvas.addEventListener("pointercancel", () => (view.painting = null))
  canvas.addEventListener("blur", () => {
    view.hover = null
    draw(view)
  })
  canvas.addEventListener("click", (event) => {
    if (view.data.mode !== "paint") select(view, patchAt(view, event))
  })
  canvas.addEventListener("keydown", (event) => onKey(view, event))
  return view
}

function patchAt(view, event) {
  const box = view.canvas.getBoundingClientRect()
  const { rows, cols } = view.data
  const column = Math.floor(((event.clientX - box.left) / box.width) * cols)
  const row = Math.floor(((event.clientY - box.top) / box.height) * rows)
  return Math.min(rows - 1, Math.max(0, row)) * cols + Math.min(cols - 1, Math.max(0, column))
}

function paint(view, patch) {
  if (view.painting) view.removed.add(patch)
  else view.removed.delete(patch)
  draw(view)
}

function select(view, patch) {
  view.selected = patch === view.selected ? -1 : patch
  draw(view)
  view.send("selected", view.selected)
}

function onKey(view, event) {
  const { rows, cols, mode } = view.data
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -cols, ArrowDown: cols }
  const at = view.hover ?? (view.selected >= 0 ? view.selected : Math.floor(rows / 2) * cols + Math.floor(cols / 2))
  if (event.key in steps) {
    const sideways = Math.abs(steps[event.key]) === 1
    const next = at + steps[event.key]
    const wraps = sideways && Math.floor(next / cols) !== Math.floor(at / cols)
    if (next >= 0 && next < rows * cols && !wraps) view.hover = next
    draw(view)
  } else if (event.key === "Enter" || event.key === " ") {
    if (mode === "paint") {
      view.painting = !view.removed.has(at)
      paint(view, at)
      view.painting = null
      view.send("removed", [...view.removed].sort((a, b) => a - b))
    } else select(view, at)
  } else if (event.key === "Escape" && mode !== "paint") {
    view.hover = null
    view.selected = -1
    draw(view)
    view.send("selected", -1)
  } else return
  event.preventDefault()
}

// Attention of one query (or, looking backwards, to one key) over the patches, in shares of 1.
function valuesOf(view, query) {
  const { rows, cols, peaks, direction, signed } = view.data
  const patches = rows * cols
  const value = (row, column) => {
    const stored = view.weights[row * patches + column]
    return (signed ? (stored - 128) / 127 : stored / 255) * peaks[row]
  }
  const values = new Float32Array(patches)
  for (let patch = 0; patch < patches; patch++)
    values[patch] = direction === "from" && query >= 0 ? value(patch + 1, query) : value(query + 1, patch)
  return values
}

function draw(view) {
  const { canvas, data } = view
  const side = Math.round(canvas.clientWidth * (window.devicePixelRatio || 1))
  if (!side || !view.photo.complete || !view.photo.naturalWidth) return
  if (canvas.width !== side) canvas.width = canvas.height = side
  const context = canvas.getContext("2d")
  context.imageSmoothingEnabled = view.photo.naturalWidth > 64
  context.imageSmoothingQuality = "high"
  context.filter = view.weights ? "saturate(.35) brightness(.72)" : "none"
  context.drawImage(view.photo, 0, 0, side, side)
  context.filter = "none"
  const query = view.hover ?? view.selected
  if (view.weights) {
    const values = valuesOf(view, query)
    drawHeat(context, view, values, side)
    caption(view, values, query)
  }
  drawRemoved(context, view, side)
  drawGrid(context, view, side)
  if (view.selected >= 0 && data.mode !== "paint") outline(context, view, view.selected, side, "#ffc400")
  if (view.hover !== null) outline(context, view, view.hover, side, "#ffffff")
}

function drawHeat(context, view, values, side) {
  const { rows, cols, signed, smooth } = view.data
  // The 99th percentile, as in core/figures/overlay.py: one outlier patch must not leave the rest black.
  const sorted = values.map(Math.abs).sort()
  const reach = sorted[Math.floor(0.99 * (sorted.length - 1))] || sorted[sorted.length - 1] || 1e-9
  // Values are interpolated, then coloured: interpolating colours would skip the ones between.
  const fine = smooth ? Math.max(1, Math.round(160 / Math.max(rows, cols))) : 1
  const [width, height] = [cols * fine, rows * fine]
  const small = new OffscreenCanvas(width, height)
  const pixels = new ImageData(width, height)
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const value = fine === 1 ? values[y * cols + x] : between(values, rows, cols, (y + 0.5) / fine - 0.5, (x + 0.5) / fine - 0.5)
      const share = Math.max(-1, Math.min(1, value / reach))
      const colour = 3 * Math.round(255 * (signed ? 0.5 + share / 2 : Math.max(0, share)))
      const at = 4 * (y * width + x)
      pixels.data[at] = view.colours[colour]
      pixels.data[at + 1] = view.colours[colour + 1]
      pixels.data[at + 2] = view.colours[colour + 2]
      pixels.data[at + 3] = 255 * (0.12 + 0.78 * Math.pow(Math.abs(share), 0.8))
    }
  small.getContext("2d").putImageData(pixels, 0, 0)
  context.imageSmoothingEnabled = smooth
  context.drawImage(small, 0, 0, side, side)
}

function between(values, rows, cols, y, x) {
  const top = Math.max(0, Math.min(rows - 1, Math.floor(y)))
  const left = Math.max(0, Math.min(cols - 1, Math.floor(x)))
  const bottom = Math.min(rows - 1, top + (y > top ? 1 : 0))
  const right = Math.min(cols - 1, left + (x > left ? 1 : 0))
  const [down, across] = [Math.max(0, y - top), Math.max(0, x - left)]
  const upper = values[top * cols + left] * (1 - across) + values[top * cols + right] * across
  const lower = values[bottom * cols + left] * (1 - across) + values[bottom * cols + right] * across
  return upper * (1 - down) + lower * down
}

// What the model is shown there instead, never a colour of our own.
function drawRemoved(context, view, side) {
  const { rows, cols } = view.data
  const { filling } = view
  if (!filling.complete || !filling.naturalWidth) return
  const [wide, high] = [filling.naturalWidth / cols, filling.naturalHeight / rows]
  for (const patch of view.removed) {
    const [row, column] = [Math.floor(patch / cols), patch % cols]
    const place = [(column * side) / cols, (row * side) / rows, side / cols, side / rows]
    context.drawImage(filling, column * wide, row * high, wide, high, ...place)
  }
}

function drawGrid(context, view, side) {
  const { rows, cols } = view.data
  context.strokeStyle = "rgba(255,255,255,.16)"
  context.lineWidth = Math.max(1, side / 900)
  context.beginPath()
  for (let column = 1; column < cols; column++) {
    context.moveTo((column * side) / cols, 0)
    context.lineTo((column * side) / cols, side)
  }
  for (let row = 1; row < rows; row++) {
    context.moveTo(0, (row * side) / rows)
    context.lineTo(side, (row * side) / rows)
  }
  context.stroke()
}

function outline(context, view, patch, side, colour) {
  const { rows, cols } = view.data
  const x = ((patch % cols) * side) / cols
  const y = (Math.floor(patch / cols) * side) / rows
  context.lineWidth = Math.max(2, side / 220)
  context.strokeStyle = "rgba(0,0,0,.8)"
  context.strokeRect(x, y, side / cols, side / rows)
  context.strokeStyle = colour
  context.lineWidth /= 2
  context.strokeRect(x, y, side / cols, side / rows)
}

function caption(view, values, query) {
  const { cols, direction } = view.data
  const place = (patch) => `row ${Math.floor(patch / cols) + 1}, column ${(patch % cols) + 1}`
  let best = 0
  values.forEach((value, patch) => {
    if (value > values[best]) best = patch
  })
  const strongest = `${(100 * values[best]).toFixed(1)} % at ${place(best)}`
  view.caption.textContent =
    query < 0
      ? `${view.data.reader} attends most, ${strongest}.`
      : direction === "from"
        ? `The patch at ${place(query)} is attended to most by ${place(best)}, which gives it ${(100 * values[best]).toFixed(1)} %.`
        : `The patch at ${place(query)} attends most, ${strongest}.`
}
