// Rows of pictures, one latent turned in each. The pointer on a row is that latent's slider: what the decoder makes of the
// value is drawn under it, from decodings that are fetched once. The server hears of clicks alone.
const LABEL = 0.075 // of the width, for the names of the rows
const TILES = 9

export default function (component) {
  const { data } = component
  const view = viewOf(component, mount)
  update(view, data)
}

function mount(parent) {
  const find = (name) => parent.querySelector(name)
  const view = {
    stage: find(".stage"),
    base: find(".base"),
    top: find(".top"),
    said: find("p"),
    at: null, // {row, share} under the pointer; null when it is elsewhere
    lens: document.createElement("canvas"),
    bytes: null,
  }
  const { top } = view
  const follow = (event) => {
    view.at = placeOf(view, event)
    schedule(view)
  }
  const leave = () => {
    view.at = null
    schedule(view)
  }
  top.addEventListener("pointermove", follow)
  top.addEventListener("pointerdown", follow)
  top.addEventListener("pointerleave", leave)
  top.addEventListener("blur", leave)
  top.addEventListener("click", (event) => keep(view, placeOf(view, event)))
  top.addEventListener("keydown", (event) => walk(view, event))
  new ResizeObserver(() => resize(view)).observe(view.stage)
  return view
}

async function update(view, data) {
  const others = view.data?.rows !== data.rows
  view.data = data
  view.stage.style.aspectRatio = `${TILES / (1 - LABEL)} / ${data.names.length * aspect(data)}`
  view.top.setAttribute("aria-label", data.alt)
  if (others) {
    const bytes = await fetched(view, data.rows, "The pictures")
    if (!bytes || view.data.rows !== data.rows) return // or newer ones arrived meanwhile
    view.bytes = bytes
  }
  resize(view)
}

// Height of a tile over its width.
function aspect(data) {
  return data.shape[2] / data.shape[3]
}

function resize(view) {
  if (!view.data || !view.bytes) return
  const ratio = window.devicePixelRatio || 1
  const [width, height] = [view.stage.clientWidth, view.stage.clientHeight].map((side) => Math.round(side * ratio))
  if (!width || !height) return
  if (view.base.width !== width || view.base.height !== height) {
    view.base.width = view.top.width = width
    view.base.height = view.top.height = height
  }
  drawBase(view)
}

function frame(view) {
  const { base, data } = view
  const left = LABEL * base.width
  return { left, tile: (base.width - left) / TILES, row: base.height / data.names.length }
}

// A tile stands for the value at its middle: shares below the first middle and above the last belong to the ends.
function placeOf(view, event) {
  const box = view.top.getBoundingClientRect()
  const rows = view.data.names.length
  const along = ((event.clientX - box.left) / box.width - LABEL) / (1 - LABEL)
  return {
    row: Math.min(rows - 1, Math.max(0, Math.floor((rows * (event.clientY - box.top)) / box.height))),
    share: Math.min(1, Math.max(0, (along * TILES - 0.5) / (TILES - 1))),
  }
}

function valueOf(view, share) {
  return view.data.extent * (2 * share - 1)
}

function xOf(view, share) {
  const { left, tile } = frame(view)
  return left + tile * (0.5 + (TILES - 1) * share)
}

// The decoding of a row at a share of its way, between its two nearest, into the lens.
function decode(view, { row, share }) {
  const [, steps, height, width, channels] = view.data.shape
  const size = height * width * channels
  const place = share * (steps - 1)
  const low = Math.min(steps - 2, Math.floor(place))
  const part = place - low
  const begin = (row * steps + low) * size
  const { bytes, lens } = view
  if (lens.width !== width || lens.height !== height) [lens.width, lens.height] = [width, height]
  const context = lens.getContext("2d")
  const image = context.createImageData(width, height)
  for (let pixel = 0, from = begin; pixel < width * height; pixel += 1, from += channels) {
    for (let channel = 0; channel < 3; channel += 1) {
      const at = from + (channels === 3 ? channel : 0)
      image.data[4 * pixel + channel] = (1 - part) * bytes[at] + part * bytes[at + size]
    }
    image.data[4 * pixel + 3] = 255
  }
  context.putImageData(image, 0, 0)
}

function drawBase(view) {
  const { base, data } = view
  const context = base.getContext("2d")
  const { left, tile, row } = frame(view)
  context.clearRect(0, 0, base.width, base.height)
  context.fillStyle = getComputedStyle(view.stage).color
  context.textBaseline = "middle"
  context.font = `${Math.round(Math.min(0.34 * row, 0.42 * left))}px ${getComputedStyle(view.stage).fontFamily}`
  const gap = Math.max(1, tile / 24)
  for (let index = 0; index < data.names.length; index += 1) {
    context.fillText(data.names[index], 0, (index + 0.5) * row)
    for (let step = 0; step < TILES; step += 1) {
      decode(view, { row: index, share: step / (TILES - 1) })
      context.drawImage(view.lens, left + step * tile + gap / 2, index * row + gap / 2, tile - gap, row - gap)
    }
  }
  drawTop(view)
}

function schedule(view) {
  atNextFrame(view, drawTop)
}

function drawTop(view) {
  if (!view.bytes) return
  const { top, data } = view
  const context = top.getContext("2d")
  const { row } = frame(view)
  context.clearRect(0, 0, top.width, top.height)
  data.at.forEach((value, index) => {
    const share = Math.min(1, Math.max(0, (value / data.extent + 1) / 2))
    needle(context, xOf(view, share), index * row, row, 2)
  })
  if (!view.at) {
    view.said.textContent = data.rest
    return
  }
  decode(view, view.at)
  const [, , height, width] = data.shape
  const across = Math.min(top.width / 3, 168 * (window.devicePixelRatio || 1))
  const down = (across * height) / width
  const x = xOf(view, view.at.share)
  const y = view.at.row * row
  needle(context, x, y, row, 4)
  // Above the row, or below where there is no room.
  const left = Math.min(top.width - across - 4, Math.max(4, x - across / 2))
  const upper = y - down - 6 > 2 ? y - down - 6 : Math.min(top.height - down - 4, y + row + 6)
  context.imageSmoothingEnabled = true
  context.drawImage(view.lens, left, upper, across, down)
  context.lineWidth = Math.max(2, across / 50)
  context.strokeStyle = "#ffc400"
  context.strokeRect(left, upper, across, down)
  const signed = (value) => value.toFixed(2).replace("-", "−")
  const [from, to] = [data.at[view.at.row], valueOf(view, view.at.share)].map(signed)
  view.said.textContent = `${data.names[view.at.row]} from ${from} to ${to}, all others kept. Click to keep it.`
}

function needle(context, x, y, height, width) {
  for (const [extra, colour] of [
    [3, "rgba(0,0,0,.75)"],
    [0, "#ffc400"],
  ]) {
    context.lineWidth = width + extra
    context.strokeStyle = colour
    context.beginPath()
    context.moveTo(x, y + 2)
    context.lineTo(x, y + height - 2)
    context.stroke()
  }
}

function keep(view, place) {
  if (!view.bytes) return
  // The time makes every choice a new value: choosing the same place again must count.
  view.send("kept", [view.data.dimensions[place.row], valueOf(view, place.share), Date.now()])
}

function walk(view, event) {
  const rows = { ArrowUp: -1, ArrowDown: 1 }
  const shares = { ArrowLeft: -1, ArrowRight: 1 }
  if (!view.bytes || !(event.key in rows || event.key in shares || event.key === "Enter")) return
  event.preventDefault()
  const { at, extent, names } = view.data
  const shareOf = (row) => Math.min(1, Math.max(0, (at[row] / extent + 1) / 2))
  const from = view.at ?? { row: 0, share: shareOf(0) }
  if (event.key === "Enter") return keep(view, from)
  if (event.key in rows) {
    const row = Math.min(names.length - 1, Math.max(0, from.row + rows[event.key]))
    view.at = { row, share: shareOf(row) }
  } else {
    const pace = (event.shiftKey ? 0.5 : 0.1) / (2 * extent)
    view.at = { row: from.row, share: Math.min(1, Math.max(0, from.share + pace * shares[event.key])) }
  }
  schedule(view)
}
