// Photo, mosaic and film as pictures.

const MARK = "#ffc400"

// All of it; most choices change the photo and the marks alone.
function redraw(view) {
  view.stale = { mosaic: true, films: true }
  show(view)
}

function show(view) {
  if (!view.choice) return
  atNextFrame(view, draw)
}

function draw(view) {
  sync(view)
  drawPhoto(view)
  if (view.data.linked) return
  if (view.reader && loaded(view.photos.photo) && (view.stale.mosaic || view.stale.films))
    requestAnimationFrame(() => drawRest(view)) // after the photo, which is what the finger waits for
  place(view, view.mosaic.querySelector(".mark"), [view.choice.layer, headOf(view)])
  place(view, view.mosaic.querySelector(".ghost"), view.cell_hover)
  markFrames(view)
}

function drawRest(view) {
  const { mosaic, films } = view.stale
  view.stale = {}
  if (mosaic) drawMosaic(view)
  if (!films) return
  clearTimeout(view.filming)
  view.filming = setTimeout(() => drawFilms(view), 120)
}

const loaded = (photo) => photo.complete && photo.naturalWidth > 0
const headOf = ({ choice }) => (FUSIONS.includes(choice.head) ? -1 : Number(choice.head) - 1)
const isSigned = (view) => view.data.signed && view.choice.kind === "attention"

// The room is shared so that the photo and the mosaic beside it are about as high as each other.
function fit(view) {
  const { data } = view
  const width = view.whole.clientWidth
  if (!data || !width) return
  const narrow = width <= 640 || Boolean(data.linked)
  const most = Math.max(380, window.innerHeight - above(view) - 24)
  const [gap, words] = [20, 75]
  const ratio = data.heads / data.layers
  const even = (width - gap + words * ratio) / (1 + ratio)
  const side = Math.round(Math.min(narrow ? width : Math.min(0.64 * width, Math.max(0.46 * width, even)), most))
  view.stage.style.setProperty("--photo", `${side}px`)
  const room = narrow ? width : width - gap - side
  const high = narrow ? 2 * width : side - words + 24
  const cell = (columns, rows) => Math.floor(Math.min((room + 3) / columns, high / rows))
  // Layers are rows, unless they are many more than the heads and the cells would be larger the other way.
  view.across = cell(data.layers, data.heads) > 1.1 * cell(data.heads, data.layers)
  const [columns, rows] = gridOf(view)
  view.pitch = Math.max(12, cell(columns, rows))
  view.mosaic.style.width = `${view.pitch * columns - 3}px`
  view.mosaic.style.height = `${view.pitch * rows - 3}px`
  // On its side it leaves room below for the film, whose layers then stand under its own.
  const place = view.across && !narrow ? view.mosaic.parentElement : view.whole
  if (view.films.parentElement !== place) place.append(view.films)
  view.films.style.width = view.across && !narrow ? view.mosaic.style.width : ""
  const [layers, heads] = view.across ? ["columns", "rows"] : ["rows", "columns"]
  view.mosaic.setAttribute("aria-label", `Attention of ${data.readerName}: ${data.layers} layers (${layers}), ${data.heads} heads (${heads}). Arrow keys choose.`)
  redraw(view)
}

// Of the mosaic: columns and rows, and where a layer and head are; the same turns a place into layer and head.
const gridOf = ({ across, data }) => (across ? [data.layers, data.heads] : [data.heads, data.layers])
const turnedBy = ({ across }, layer, head) => (across ? [layer, head] : [head, layer])

// How far down the page the picture begins.
function above(view) {
  const page = view.whole.getRootNode().host?.closest('[data-testid="stMain"]')
  return view.stage.getBoundingClientRect().top + (page?.scrollTop ?? 0) + 22
}

function sized(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1
  const [across, down] = [Math.round(width * ratio), Math.round(height * ratio)]
  if (canvas.width !== across || canvas.height !== down) [canvas.width, canvas.height] = [across, down]
  return canvas.getContext("2d")
}

// The photo under the heat: fainter, so that colour means attention. Drawn once for a size.
function faint(view, photo, side) {
  const name = `${photo.src.length}/${photo.src.slice(-40)}/${side}`
  view.faint ??= new Map()
  if (!view.faint.has(name)) {
    if (view.faint.size > 8) view.faint.clear()
    const sheet = new OffscreenCanvas(side, side)
    const context = sheet.getContext("2d")
    context.imageSmoothingEnabled = photo.naturalWidth > 64
    context.imageSmoothingQuality = "high"
    context.filter = "saturate(.35) brightness(.72)"
    context.drawImage(photo, 0, 0, side, side)
    view.faint.set(name, sheet)
  }
  return view.faint.get(name)
}

function drawPhoto(view) {
  const { canvas, choice, data } = view
  const photo = choice.as_seen ? view.photos.seen : view.photos.photo
  const wide = canvas.clientWidth
  if (!wide || !loaded(photo)) return
  const context = sized(canvas, wide, wide)
  const side = canvas.width
  if (data.linked) return drawLinked(view, context, photo, side)
  const query = view.hover ?? choice.patch
  const values = valuesOf(view, choice, query)
  if (!values) {
    context.drawImage(faint(view, photo, side), 0, 0)
    if (view.reader) view.said.textContent = "Fetching the attention of the patches …"
    return
  }
  if (choice.mass < 100) drawMask(context, view, photo, heldBy(values, choice.mass / 100), [0, 0, side])
  else {
    context.drawImage(faint(view, photo, side), 0, 0)
    drawHeat(context, view, values, [0, 0, side], choice.as_seen ? 1 : 160, isSigned(view))
    drawGrid(context, data, side)
  }
  if (choice.patch >= 0) outline(context, data, choice.patch, side, MARK)
  if (view.hover !== null) outline(context, data, view.hover, side, "#ffffff")
  words(view, values, query)
}

// Values are interpolated, then coloured: interpolating colours would skip the ones between.
function drawHeat(context, view, values, [left, top, side], pixels, signed, reach = reachOf(values)) {
  const { rows, cols } = view.data
  const colours = view.colours[signed ? 1 : 0]
  const fine = Math.max(1, Math.round(pixels / Math.max(rows, cols)))
  const [width, height] = [cols * fine, rows * fine]
  const sheet = new OffscreenCanvas(width, height)
  const image = new ImageData(width, height)
  for (let y = 0; y < height; y += 1)
    for (let x = 0; x < width; x += 1) {
      const value = fine === 1 ? values[y * cols + x] : between(values, rows, cols, (y + 0.5) / fine - 0.5, (x + 0.5) / fine - 0.5)
      const share = Math.max(signed ? -1 : 0, Math.min(1, value / reach))
      const colour = 3 * Math.round(255 * (signed ? 0.5 + share / 2 : share))
      const at = 4 * (y * width + x)
      for (let channel = 0; channel < 3; channel += 1) image.data[at + channel] = colours[colour + channel]
      image.data[at + 3] = 255 * (0.12 + 0.78 * Math.pow(Math.abs(share), 0.8))
    }
  sheet.getContext("2d").putImageData(image, 0, 0)
  context.imageSmoothingEnabled = pixels > 1
  context.drawImage(sheet, left, top, side, side)
}

function between(values, rows, cols, y, x) {
  const above = Math.max(0, Math.min(rows - 1, Math.floor(y)))
  const left = Math.max(0, Math.min(cols - 1, Math.floor(x)))
  const below = Math.min(rows - 1, above + (y > above ? 1 : 0))
  const right = Math.min(cols - 1, left + (x > left ? 1 : 0))
  const [down, across] = [Math.max(0, y - above), Math.max(0, x - left)]
  const upper = values[above * cols + left] * (1 - across) + values[above * cols + right] * across
  const lower = values[below * cols + left] * (1 - across) + values[below * cols + right] * across
  return upper * (1 - down) + lower * down
}

// The photo where the mask is, a faint grey elsewhere.
function drawMask(context, view, photo, mask, [left, top, side]) {
  const { rows, cols } = view.data
  context.imageSmoothingEnabled = photo.naturalWidth > 64
  context.drawImage(photo, left, top, side, side)
  context.fillStyle = "rgba(110,110,110,.82)"
  for (let patch = 0; patch < mask.length; patch += 1) {
    if (mask[patch]) continue
    const [row, column] = [Math.floor(patch / cols), patch % cols]
    const [x, y] = [left + Math.round((column * side) / cols), top + Math.round((row * side) / rows)]
    const [right, bottom] = [left + Math.round(((column + 1) * side) / cols), top + Math.round(((row + 1) * side) / rows)]
    context.fillRect(x, y, right - x, bottom - y)
  }
}

function drawGrid(context, { rows, cols }, side) {
  context.strokeStyle = "rgba(255,255,255,.16)"
  context.lineWidth = Math.max(1, side / 900)
  context.beginPath()
  for (let column = 1; column < cols; column += 1) {
    context.moveTo((column * side) / cols, 0)
    context.lineTo((column * side) / cols, side)
  }
  for (let row = 1; row < rows; row += 1) {
    context.moveTo(0, (row * side) / rows)
    context.lineTo(side, (row * side) / rows)
  }
  context.stroke()
}

function outline(context, { rows, cols }, patch, side, colour) {
  const [x, y] = [((patch % cols) * side) / cols, (Math.floor(patch / cols) * side) / rows]
  context.lineWidth = Math.max(2, side / 220)
  for (const stroke of ["rgba(0,0,0,.8)", colour]) {
    context.strokeStyle = stroke
    context.strokeRect(x, y, side / cols, side / rows)
    context.lineWidth /= 2
  }
}

// Every layer a row, every head a column: what the model's head reads, each on its own scale.
function drawMosaic(view) {
  const { data, pitch, choice } = view
  const canvas = view.mosaic.querySelector("canvas")
  const [columns, rows] = gridOf(view)
  const context = sized(canvas, pitch * columns - 3, pitch * rows - 3)
  const ratio = canvas.width / (pitch * columns - 3)
  context.clearRect(0, 0, canvas.width, canvas.height)
  const side = Math.round((pitch - 3) * ratio)
  for (let layer = 0; layer < data.layers; layer += 1)
    for (let head = 0; head < data.heads; head += 1) {
      const box = [...turnedBy(view, layer, head).map((each) => Math.round(each * pitch * ratio)), side]
      drawSmall(context, view, readerRow(view, layer, String(head + 1)), box, choice.mass, data.signed)
    }
}

function drawSmall(context, view, values, box, mass, signed) {
  const { photo } = view.photos
  if (mass < 100) return drawMask(context, view, photo, heldBy(values, mass / 100), box)
  context.drawImage(faint(view, photo, box[2]), box[0], box[1])
  drawHeat(context, view, values, box, 40, signed)
}

function place(view, mark, cell) {
  mark.hidden = !cell
  if (!cell) return
  const { pitch, data } = view
  const [layer, head] = cell
  const [left, top] = turnedBy(view, layer, Math.max(0, head))
  const [wide, high] = turnedBy(view, 1, head < 0 ? data.heads : 1)
  mark.style.left = `${left * pitch}px`
  mark.style.top = `${top * pitch}px`
  mark.style.width = `${wide * pitch - 3}px`
  mark.style.height = `${high * pitch - 3}px`
}

// Two rows of frames, a button each: attention of every layer, and rollout up to it.
function drawFilms(view) {
  const { data, choice } = view
  const [attention, rollout] = view.films.querySelectorAll(".frames")
  const [first, second] = view.films.querySelectorAll(".title")
  const said = FUSIONS.includes(choice.head) ? `${choice.head} of the heads` : `head ${choice.head}`
  first.textContent = `Attention of ${data.readerName}, ${said}, layer by layer`
  second.textContent = `Rollout up to each layer, ${said}`
  // Of a model whose layers are fetched one by one, rollout is asked for by whoever looks at it.
  rollout.hidden = second.hidden = data.weights.length > 1 && choice.kind !== "rollout"
  drawFrames(view, attention, { ...choice, kind: "attention" }, data.signed)
  clearTimeout(view.rolling)
  // It takes the product of all layers: once the finger rests.
  if (!rollout.hidden) view.rolling = setTimeout(() => drawFrames(view, rollout, { ...choice, kind: "rollout" }, false), REST)
}

function drawFrames(view, frames, choice, signed) {
  ;[...frames.children].forEach((button, layer) => {
    const canvas = button.firstChild
    const wide = canvas.clientWidth
    const values = wide && valuesOf(view, { ...choice, layer }, -1)
    if (!values) return
    drawSmall(sized(canvas, wide, wide), view, values, [0, 0, canvas.width], 100, signed)
  })
}

function markFrames(view) {
  view.films.querySelectorAll(".frames").forEach((frames, row) => {
    ;[...frames.children].forEach((button, layer) => {
      const pressed = layer === view.choice.layer && (row === 1) === (view.choice.kind === "rollout")
      button.setAttribute("aria-pressed", String(pressed))
      if (pressed && frames.scrollWidth > frames.clientWidth)
        frames.scrollLeft = button.offsetLeft - frames.offsetLeft - (frames.clientWidth - button.clientWidth) / 2
    })
  })
}
