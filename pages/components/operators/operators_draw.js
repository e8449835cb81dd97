// The rows of pictures: outputs, feature maps, attention, receptive fields.

const ROWS = [
  ["y", "Output"],
  ["v", "Feature maps"],
  ["A", "Attention"],
  ["field", "Receptive field"],
]

function element(name, className = "", text = "") {
  const made = document.createElement(name)
  if (className) made.className = className
  if (text) made.textContent = text
  return made
}

// A canvas of as many pixels as there are positions, in a frame that can carry marks.
function mapFrame(view, alt, { across = 1, down = 1, clicks = true } = {}) {
  const [rows, columns] = view.data.grid
  const frame = element("div", "frame")
  const [high, wide] = [down * (rows + 1) - 1, across * (columns + 1) - 1]
  frame.style.aspectRatio = `${wide} / ${high}`
  frame.style.setProperty("--wide", wide / high)
  const canvas = element("canvas")
  canvas.width = wide
  canvas.height = high
  canvas.setAttribute("role", "img")
  canvas.setAttribute("aria-label", alt)
  frame.append(canvas)
  if (clicks) {
    frame.append(element("div", "mark"))
    watch(view, frame)
  }
  return frame
}

function build(view) {
  const { data } = view
  view.grid.replaceChildren()
  view.grid.style.setProperty("--six", data.columns.length)
  view.columns = data.columns.map((column) => ({ column }))
  const corner = element("div", "cell corner")
  corner.append(element("strong", "", "The picture"), element("span", "note", data.note))
  view.grid.append(corner)
  for (const [index, each] of view.columns.entries()) view.grid.append(headOf(view, each, index))
  view.input = {}
  for (const [term, title] of ROWS) {
    view.grid.append(firstCell(view, term, title))
    for (const each of view.columns) view.grid.append(cellOf(view, each, term, title))
  }
  drawInput(view)
}

function headOf(view, each, index) {
  const head = element("div", "cell head")
  const button = element("button", "", each.column.title)
  button.type = "button"
  button.dataset.operator = each.column.operator
  button.addEventListener("click", () => choose(view, { operator: each.column.operator }))
  const equation = element("div", "equation")
  equation.innerHTML = each.column.equation // ours: pages/operators/words.py
  head.append(button, equation)
  if (each.column.note) head.append(element("span", "note", each.column.note))
  each.button = button
  return head
}

function firstCell(view, term, title) {
  const cell = element("div", "cell first")
  cell.dataset.term = term
  cell.append(element("strong", "", title))
  const { rows } = view.data
  if (term === "y") {
    view.input.photo = mapFrame(view, view.data.alt)
    view.input.photo.tabIndex = 0
    view.input.photo.setAttribute("role", "application")
    view.input.photo.setAttribute("aria-label", `${view.data.alt} Arrow keys move the position that is asked.`)
    cell.append(view.input.photo, element("span", "where"))
    view.input.where = cell.lastChild
  } else if (term === "v") {
    view.input.features = featureFrame(view, view.layers.find(Boolean), "The values that go in, channel by channel")
    cell.append(view.input.features)
  }
  cell.append(element("span", "note", rows[term]))
  return cell
}

function featureFrame(view, layer, alt) {
  const across = layer.channels > 8 ? 8 : Math.min(4, layer.channels)
  const frame = mapFrame(view, alt, { across, down: Math.ceil(layer.channels / across), clicks: false })
  frame.append(element("div", "mark channel"))
  frame.addEventListener("click", (event) => {
    const box = frame.getBoundingClientRect()
    const column = Math.min(across - 1, Math.floor(((event.clientX - box.left) / box.width) * across))
    const row = Math.floor(((event.clientY - box.top) / box.height) * Math.ceil(layer.channels / across))
    choose(view, { channel: Math.min(layer.channels - 1, Math.max(0, row * across + column)) })
  })
  frame.across = across
  return frame
}

function cellOf(view, each, term, title) {
  const cell = element("div", "cell")
  cell.dataset.row = term
  const { column } = each
  const layer = view.layers[view.columns.indexOf(each)]
  if (!layer) {
    if (term === "y") cell.append(element("span", "note", column.missing))
    return cell
  }
  const alt = `${title} of ${column.title}`
  if (term === "field") {
    const both = element("div", "both")
    each.field = mapFrame(view, `${alt}, measured`)
    each.theory = mapFrame(view, `${alt}, by its definition`)
    both.append(each.field, each.theory)
    cell.append(both)
  } else {
    each[term] = term === "v" ? featureFrame(view, layer, alt) : mapFrame(view, alt)
    cell.append(each[term])
  }
  each[`${term}Said`] = element("span", "caption")
  cell.append(each[`${term}Said`])
  return cell
}

// One map onto the canvas of a frame, in heat or about zero, at a place counted in positions.
function paint(view, frame, values, { signed = false, reach = reachOf(values), left = 0, top = 0 } = {}) {
  const [rows, columns] = view.data.grid
  const pixels = new ImageData(columns, rows)
  const table = signed ? view.tables.signed : view.tables.heat
  for (let at = 0; at < rows * columns; at++) {
    const share = Math.max(-1, Math.min(1, values[at] / reach))
    const colour = 3 * Math.round(255 * (signed ? 0.5 + share / 2 : Math.max(0, share)))
    pixels.data[4 * at] = table[colour]
    pixels.data[4 * at + 1] = table[colour + 1]
    pixels.data[4 * at + 2] = table[colour + 2]
    pixels.data[4 * at + 3] = 255
  }
  frame.querySelector("canvas").getContext("2d").putImageData(pixels, left, top)
}

// The 99th percentile, as core/figures/overlay.py scales its maps; the largest where that is 0.
function reachOf(values) {
  const sorted = Float64Array.from(values, Math.abs).sort()
  return sorted[Math.floor(0.99 * (sorted.length - 1))] || sorted[sorted.length - 1] || 1
}

function paintColours(frame, colours, [rows, columns]) {
  const pixels = new ImageData(columns, rows)
  for (let at = 0; at < rows * columns; at++) {
    for (let channel = 0; channel < 3; channel++)
      pixels.data[4 * at + channel] = Math.round(255 * Math.max(0, Math.min(1, colours[3 * at + channel])))
    pixels.data[4 * at + 3] = 255
  }
  frame.querySelector("canvas").getContext("2d").putImageData(pixels, 0, 0)
}

function drawInput(view) {
  // The photo may be finer than its positions: patches of a network.
  const canvas = view.input.photo.querySelector("canvas")
  ;[canvas.height, canvas.width] = view.data.photo
  paintColours(view.input.photo, view.picture, view.data.photo)
  const layer = view.layers.find(Boolean)
  paintFeatures(view, view.input.features, layer, layer.value, layer.lanes)
}

function paintFeatures(view, frame, layer, map, stride) {
  const [rows, columns] = view.data.grid
  const kept = Float64Array.from({ length: layer.count * layer.channels }, (_, at) =>
    map[Math.floor(at / layer.channels) * stride + (at % layer.channels)],
  )
  const reach = reachOf(kept)
  for (let channel = 0; channel < layer.channels; channel++) {
    const values = Float64Array.from({ length: layer.count }, (_, at) => map[at * stride + channel])
    const [row, column] = [Math.floor(channel / frame.across), channel % frame.across]
    paint(view, frame, values, { signed: true, reach, left: column * (columns + 1), top: row * (rows + 1) })
  }
}

// What went out, read back into colours as its own values are read best, at the picture's contrast.
function colours(view, index, output) {
  const { count, channels } = view.layers[index]
  const [readout, { mean, spread }] = [view.readouts[index], view.data.contrast]
  const found = new Float64Array(3 * count)
  for (let colour = 0; colour < 3; colour++) {
    let sum = 0
    for (let at = 0; at < count; at++) {
      let value = 0
      for (let channel = 0; channel < channels; channel++)
        value += readout[colour * channels + channel] * output[at * channels + channel]
      found[3 * at + colour] = value
      sum += value
    }
    for (let at = 0; at < count; at++) found[3 * at + colour] -= sum / count
  }
  const own = rms(found)
  return found.map((value, at) => mean[at % 3] + (own > 1e-12 ? (value * spread) / own : 0))
}

const rms = (values) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length)
const percent = (share) => `${(100 * share).toFixed(Math.abs(share) < 0.0995 ? 1 : 0)} %`
const three = (value) => Number(value.toPrecision(3)).toString().replace("-", "−")

function drawOutputs(view) {
  view.columns.forEach((each, index) => {
    const layer = view.layers[index]
    if (!layer) return
    const { output, own } = view.results[index]
    paintColours(each.y, colours(view, index, output), view.data.grid)
    paintFeatures(view, each.v, layer, output, layer.channels)
    each.ySaid.textContent = `RMS ${three(rms(output))}`
    each.kept = own
  })
  attentionCaptions(view)
}

// Everything about the position that was clicked.
function drawPosition(view) {
  const { state, data } = view
  const [, width] = data.grid
  const place = `row ${Math.floor(state.at / width) + 1}, column ${(state.at % width) + 1}`
  view.input.where.textContent = `i: ${place}`
  view.columns.forEach((each, index) => {
    const layer = view.layers[index]
    if (!layer) return
    each.row = rowAt(layer, state.at, state, state.channel)
    paint(view, each.A, each.row, { signed: ["convolution", "post", "convolution_modulated_attention"].includes(layer.operator) })
    const field = fieldAt(layer, state.at, state)
    paint(view, each.field, field)
    const placed = placedTaps(layer, state.at, state)
    const allowed = Float64Array.from({ length: layer.count }, (_, other) => (!isLocal(layer) || placed.tap[other] >= 0 ? 1 : 0))
    paint(view, each.theory, allowed, { reach: 1.4 })
    each.fieldSaid.textContent = `90 % in ${areaOf(field)} of ${allowed.reduce((sum, one) => sum + one, 0)}`
  })
  attentionCaptions(view)
  for (const mark of view.parent.querySelectorAll(".frame > .mark:not(.channel)")) placeMark(view, mark, state.at)
  for (const mark of view.parent.querySelectorAll(".mark.channel")) channelMark(view, mark)
}

function attentionCaptions(view) {
  view.columns.forEach((each, index) => {
    const layer = view.layers[index]
    if (!layer) return
    const { at, channel } = view.state
    const on = { convolution: `taps of channel ${channel + 1}`, convolution_modulated_attention: `factors of channel ${channel + 1}` }
    const mean = each.kept == null ? "" : ` (mean ${percent(each.kept)})`
    each.ASaid.textContent = on[layer.operator] ?? `itself ${percent(each.row[at])}${mean}`
  })
}

// The fewest positions that hold 90 % of a field.
function areaOf(field) {
  const sorted = Float64Array.from(field).sort().reverse()
  const total = sorted.reduce((sum, value) => sum + value, 0)
  let [sum, count] = [0, 0]
  while (count < sorted.length && sum < 0.9 * total * (1 - 1e-9)) sum += sorted[count++]
  return count
}

function placeMark(view, mark, at) {
  const [rows, columns] = view.data.grid
  mark.style.left = `${(100 * (at % columns)) / columns}%`
  mark.style.top = `${(100 * Math.floor(at / columns)) / rows}%`
  mark.style.width = `${100 / columns}%`
  mark.style.height = `${100 / rows}%`
}

function channelMark(view, mark) {
  const { across } = mark.parentElement
  const { width, height } = mark.parentElement.querySelector("canvas")
  const [rows, columns] = view.data.grid
  mark.style.left = `${(100 * (view.state.channel % across) * (columns + 1)) / width}%`
  mark.style.top = `${(100 * Math.floor(view.state.channel / across) * (rows + 1)) / height}%`
  mark.style.width = `${(100 * columns) / width}%`
  mark.style.height = `${(100 * rows) / height}%`
}
