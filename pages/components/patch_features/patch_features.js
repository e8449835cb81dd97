// Photos side by side: patch tokens of a layer as colours, the same in all photos; under the pointer, which patches are
// like that one, in every photo. Colours and tokens of all layers are fetched once; the server hears of clicks and layers.

export default function (component) {
  const { data } = component
  const view = viewOf(component, mount)
  update(view, data)
}

function mount(parent) {
  const find = (name) => parent.querySelector(name)
  const view = {
    row: find(".row"),
    said: find("p"),
    layer: find('input[name="layer"]'),
    layerWords: find(".layer output"),
    veil: find('input[name="veil"]'),
    canvases: [],
    photos: [],
    tokens: new Map(),
    at: null, // {photo, patch} under the pointer
    scores: null,
  }
  view.layer.addEventListener("input", () => {
    view.shown = Number(view.layer.value) - 1
    view.layerWords.textContent = view.layer.value
    fetchTokens(view)
    schedule(view)
  })
  view.layer.addEventListener("change", () => view.send("layer", Number(view.layer.value) - 1))
  view.veil.addEventListener("input", () => schedule(view))
  return view
}

async function update(view, data) {
  const before = view.data
  view.data = data
  view.shown = data.layer
  view.layer.max = data.layers
  view.layer.value = data.layer + 1
  view.layer.disabled = data.layers < 2
  view.layerWords.textContent = String(data.layer + 1)
  view.colourTable = bytesOf(data.table)
  if (JSON.stringify(before?.photos) !== JSON.stringify(data.photos)) build(view)
  if (before?.tokens.join() !== data.tokens.join()) view.tokens.clear()
  if (before?.colours !== data.colours) {
    const found = await fetched(view, data.colours, "The features")
    if (!found || view.data.colours !== data.colours) return
    view.colours = found
  }
  fetchTokens(view)
  draw(view)
}

// Of the layer that is shown, once; those of the others when they are asked for.
async function fetchTokens(view) {
  const address = view.data.tokens[view.shown]
  if (view.tokens.has(address)) return
  view.tokens.set(address, null)
  const found = await fetched(view, address, "The features")
  if (!found) return view.tokens.delete(address)
  view.tokens.set(address, new Int8Array(found.buffer))
  draw(view)
}

function build(view) {
  const { photos } = view.data
  view.at = null
  view.photos = photos.map(({ source }) => {
    const image = new Image()
    image.onload = () => draw(view)
    image.src = source
    return image
  })
  view.canvases = photos.map(({ title }, photo) => {
    const canvas = document.createElement("canvas")
    canvas.tabIndex = 0
    canvas.setAttribute("role", "application")
    canvas.setAttribute("aria-label", `${title}. Arrow keys move over the patches, Enter chooses one.`)
    const follow = (event) => point(view, { photo, patch: patchAt(view, canvas, event) })
    canvas.addEventListener("pointermove", follow)
    canvas.addEventListener("pointerdown", follow)
    canvas.addEventListener("pointerleave", () => point(view, null))
    canvas.addEventListener("blur", () => point(view, null))
    canvas.addEventListener("click", (event) => choose(view, { photo, patch: patchAt(view, canvas, event) }))
    canvas.addEventListener("keydown", (event) => walk(view, photo, event))
    new ResizeObserver(() => schedule(view)).observe(canvas)
    return canvas
  })
  view.row.replaceChildren(
    ...view.canvases.map((canvas, photo) => {
      const figure = document.createElement("figure")
      const caption = document.createElement("figcaption")
      caption.textContent = `${photos[photo].title}. ${photos[photo].note}`
      figure.append(canvas, caption)
      return figure
    })
  )
}

function patchAt(view, canvas, event) {
  const box = canvas.getBoundingClientRect()
  const { rows, columns } = view.data
  const place = (share, count) => Math.min(count - 1, Math.max(0, Math.floor(share * count)))
  const row = place((event.clientY - box.top) / box.height, rows)
  return row * columns + place((event.clientX - box.left) / box.width, columns)
}

function point(view, at) {
  if (at?.photo === view.at?.photo && at?.patch === view.at?.patch) return
  view.at = at
  schedule(view)
}

function choose(view, at) {
  const { chosen } = view.data
  const again = chosen && chosen[0] === at.photo && chosen[1] === at.patch
  view.data = { ...view.data, chosen: again ? null : [at.photo, at.patch] }
  view.send("chosen", [...(again ? [-1, -1] : [at.photo, at.patch]), Date.now()])
  draw(view)
}

function walk(view, photo, event) {
  const { rows, columns, chosen } = view.data
  const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }
  const resting = chosen && chosen[0] === photo ? chosen[1] : Math.floor(rows / 2) * columns + Math.floor(columns / 2)
  const from = view.at?.photo === photo ? view.at.patch : resting
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault()
    choose(view, { photo, patch: from })
  } else if (event.key in steps) {
    event.preventDefault()
    const [down, right] = steps[event.key]
    const row = Math.min(rows - 1, Math.max(0, Math.floor(from / columns) + down))
    const column = Math.min(columns - 1, Math.max(0, (from % columns) + right))
    point(view, { photo, patch: row * columns + column })
  }
}

function schedule(view) {
  atNextFrame(view, draw)
}

function asked(view) {
  if (view.at) return view.at
  const { chosen } = view.data
  return chosen ? { photo: chosen[0], patch: chosen[1] } : null
}

// Cosines of the asked patch with all; tokens come as unit vectors, a byte a number, each with its own scale.
function likeness(view, { photo, patch }) {
  const tokens = view.tokens.get(view.data.tokens[view.shown])
  if (!tokens) return null
  const { rows, columns, dim } = view.data
  const count = rows * columns * view.photos.length
  const lengths = (view.lengths ??= new Map())
  const address = view.data.tokens[view.shown]
  if (!lengths.has(address)) {
    const found = new Float32Array(count)
    for (let index = 0; index < count; index += 1) {
      let sum = 0
      for (let at = index * dim; at < (index + 1) * dim; at += 1) sum += tokens[at] * tokens[at]
      found[index] = Math.sqrt(sum) || 1
    }
    lengths.set(address, found)
  }
  const length = lengths.get(address)
  const from = photo * rows * columns + patch
  const scores = new Float32Array(count)
  for (let index = 0; index < count; index += 1) {
    let sum = 0
    for (let axis = 0; axis < dim; axis += 1) sum += tokens[index * dim + axis] * tokens[from * dim + axis]
    scores[index] = sum / (length[index] * length[from])
  }
  return scores
}

function draw(view) {
  if (!view.data || !view.colours || !view.canvases.length) return
  const ask = asked(view)
  const scores = ask ? likeness(view, ask) : null
  view.canvases.forEach((canvas, photo) => drawPhoto(view, canvas, photo, ask, scores))
  view.said.textContent = words(view, ask, scores)
}

function drawPhoto(view, canvas, photo, ask, scores) {
  const { rows, columns } = view.data
  const ratio = window.devicePixelRatio || 1
  const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((side) => Math.round(side * ratio))
  if (!width || !height) return
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height]
  const context = canvas.getContext("2d")
  context.imageSmoothingEnabled = true
  context.globalAlpha = 1
  if (view.photos[photo].complete) context.drawImage(view.photos[photo], 0, 0, width, height)
  const sheet = (view.sheet ??= document.createElement("canvas"))
  if (sheet.width !== columns || sheet.height !== rows) [sheet.width, sheet.height] = [columns, rows]
  const image = sheet.getContext("2d").createImageData(columns, rows)
  const patches = rows * columns
  const [low, high] = scores ? span(scores) : [0, 1]
  for (let patch = 0; patch < patches; patch += 1) {
    if (scores) {
      const share = (scores[photo * patches + patch] - low) / (high - low)
      const entry = 3 * Math.round(255 * Math.min(1, Math.max(0, share)))
      for (let channel = 0; channel < 3; channel += 1) image.data[4 * patch + channel] = view.colourTable[entry + channel]
      image.data[4 * patch + 3] = 255
    } else {
      const from = 4 * ((view.shown * view.photos.length + photo) * patches + patch)
      for (let channel = 0; channel < 4; channel += 1) image.data[4 * patch + channel] = view.colours[from + channel]
    }
  }
  sheet.getContext("2d").putImageData(image, 0, 0)
  context.imageSmoothingEnabled = false
  context.globalAlpha = Number(view.veil.value)
  context.drawImage(sheet, 0, 0, width, height)
  context.globalAlpha = 1
  if (!ask) return
  if (photo === ask.photo) frame(context, view, ask.patch, "#ffc400", width, height)
  else if (scores) frame(context, view, best(scores, photo, patches), "#ffffff", width, height)
}

// The scale is the layer's own: in some all patches are alike to 0.9, and their differences are what is to be seen.
function span(scores) {
  const sorted = Float32Array.from(scores).sort()
  const low = sorted[Math.floor(0.02 * (sorted.length - 1))]
  return [Math.min(low, 0.999), 1]
}

function best(scores, photo, patches) {
  let found = 0
  for (let patch = 1; patch < patches; patch += 1) {
    if (scores[photo * patches + patch] > scores[photo * patches + found]) found = patch
  }
  return found
}

function frame(context, view, patch, colour, width, height) {
  const { rows, columns } = view.data
  const [across, down] = [width / columns, height / rows]
  const [x, y] = [(patch % columns) * across, Math.floor(patch / columns) * down]
  for (const [line, stroke] of [
    [6, "rgba(0,0,0,.8)"],
    [3, colour],
  ]) {
    context.lineWidth = line
    context.strokeStyle = stroke
    context.strokeRect(x, y, across, down)
  }
}

function words(view, ask, scores) {
  const { rows, columns, photos, shares } = view.data
  if (!ask) {
    const held = shares[view.shown].map((share) => `${Math.round(100 * share)} %`).join(", ")
    return `Layer ${view.shown + 1}: red, green and blue hold ${held} of what differs between patches. Point at one.`
  }
  const place = (patch) => `row ${Math.floor(patch / columns) + 1}, column ${(patch % columns) + 1}`
  const begin = `${photos[ask.photo].title}, ${place(ask.patch)}`
  if (!scores) return `${begin}: fetching layer ${view.shown + 1} …`
  const patches = rows * columns
  const others = photos
    .map(({ title }, photo) => ({ title, photo, patch: best(scores, photo, patches) }))
    .filter(({ photo }) => photo !== ask.photo)
    .map(({ title, photo, patch }) => `${title} ${scores[photo * patches + patch].toFixed(2)} (${place(patch)})`)
  return `${begin}. ${others.length ? `Most alike elsewhere, cosine: ${others.join("; ")}.` : "Yellow: alike; the scale ends at the least alike."}`
}
