// A plane of latents: tiles of what is decoded there, pictures as points, and under the pointer the decoding of the very
// place, interpolated between the four nearest of a grid that is fetched once. The server hears of clicks alone.
const GREY_ABOVE = 0.45 // how dark tiles get under points

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
    legend: find(".legend"),
    buttons: { tiles: find('[data-do="tiles"]'), points: find('[data-do="points"]') },
    tiles: true,
    points: true,
    at: null, // of the pointer, in grid places; null when it is elsewhere
    lens: document.createElement("canvas"),
    grid: null,
  }
  for (const [name, button] of Object.entries(view.buttons)) {
    button.onclick = () => {
      view[name] = !view[name]
      button.setAttribute("aria-pressed", view[name])
      drawBase(view)
    }
  }
  const { top } = view
  const follow = (event) => {
    view.at = placeOf(view, event)
    schedule(view)
  }
  top.addEventListener("pointermove", follow)
  top.addEventListener("pointerdown", follow)
  top.addEventListener("pointerleave", () => {
    view.at = null
    schedule(view)
  })
  top.addEventListener("click", (event) => pin(view, placeOf(view, event)))
  top.addEventListener("keydown", (event) => walk(view, event))
  top.addEventListener("blur", () => {
    view.at = null
    schedule(view)
  })
  new ResizeObserver(() => resize(view)).observe(view.stage)
  return view
}

async function update(view, data) {
  const others = view.data?.grid !== data.grid
  view.data = data
  view.stage.style.setProperty("--map-side", `${data.side}px`)
  view.top.setAttribute("aria-label", data.alt)
  const bytes = bytesOf(data.points)
  view.places = new Float32Array(bytes.buffer, 0, 2 * data.count)
  view.codes = new Uint16Array(bytes.buffer, 8 * data.count, data.count)
  view.buttons.points.hidden = data.count === 0
  buildLegend(view)
  if (others) {
    const grid = await fetched(view, data.grid, "The map")
    if (!grid || view.data.grid !== data.grid) return // or a newer one arrived meanwhile
    view.grid = grid
  }
  resize(view)
}

function buildLegend(view) {
  const { legend, palette, count } = view.data
  view.legend.replaceChildren(
    ...(count && legend.length > 1 ? legend : []).map((name, code) => {
      const item = document.createElement("span")
      const dot = document.createElement("i")
      dot.style.background = palette[code % palette.length]
      item.append(dot, name)
      return item
    })
  )
}

function resize(view) {
  const side = Math.round(view.stage.clientWidth * (window.devicePixelRatio || 1))
  if (!side || !view.data || !view.grid) return
  if (view.base.width !== side) view.base.width = view.base.height = view.top.width = view.top.height = side
  drawBase(view)
}

// Grid places run from 0 to count − 1; half a step beyond them belongs to the outermost ones.
function scale(view) {
  return view.base.width / view.data.shape[0]
}

function placeOf(view, event) {
  const box = view.top.getBoundingClientRect()
  const count = view.data.shape[0]
  const share = (value) => Math.min(count - 1, Math.max(0, value * count - 0.5))
  return [share((event.clientX - box.left) / box.width), share((event.clientY - box.top) / box.height)]
}

function latentOf(view, place) {
  const { axis } = view.data
  const along = (value) => {
    const low = Math.min(axis.length - 2, Math.floor(value))
    return axis[low] + (value - low) * (axis[low + 1] - axis[low])
  }
  return [along(place[0]), along(axis.length - 1 - place[1])]
}

function gridOf(view, latent) {
  const { axis } = view.data
  const along = (value) => {
    let low = 0
    while (low < axis.length - 2 && axis[low + 1] < value) low += 1
    return low + (value - axis[low]) / (axis[low + 1] - axis[low])
  }
  return [along(latent[0]), axis.length - 1 - along(latent[1])]
}

// The decoding at a place of the grid, between its four nearest, into the lens.
function decode(view, place) {
  const [count, height, width, channels] = view.data.shape
  const size = height * width * channels
  const [left, up] = place.map((value) => Math.min(count - 2, Math.floor(value)))
  const [x, y] = [place[0] - left, place[1] - up]
  const corners = [up * count + left, up * count + left + 1, (up + 1) * count + left, (up + 1) * count + left + 1]
  const weights = [(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y]
  const { grid, lens } = view
  if (lens.width !== width) [lens.width, lens.height] = [width, height]
  const context = lens.getContext("2d")
  const image = context.createImageData(width, height)
  const [a, b, c, d] = corners.map((corner) => corner * size)
  for (let pixel = 0, from = 0; pixel < width * height; pixel += 1, from += channels) {
    for (let channel = 0; channel < 3; channel += 1) {
      const at = from + (channels === 3 ? channel : 0)
      image.data[4 * pixel + channel] =
        weights[0] * grid[a + at] + weights[1] * grid[b + at] + weights[2] * grid[c + at] + weights[3] * grid[d + at]
    }
    image.data[4 * pixel + 3] = 255
  }
  context.putImageData(image, 0, 0)
}

function drawBase(view) {
  if (!view.grid) return
  const { base, data } = view
  const context = base.getContext("2d")
  const [count] = data.shape
  const step = scale(view)
  context.globalAlpha = 1
  context.fillStyle = "#000"
  context.fillRect(0, 0, base.width, base.width)
  context.imageSmoothingEnabled = true
  const shown = view.points && data.count > 0
  if (view.tiles) {
    context.globalAlpha = shown ? 1 - GREY_ABOVE : 1
    for (let row = 0; row < count; row += 2) {
      for (let column = 0; column < count; column += 2) {
        decode(view, [column, row])
        // A tile is two steps wide and centred at its place.
        context.drawImage(view.lens, (column - 0.5) * step, (row - 0.5) * step, 2 * step, 2 * step)
      }
    }
    context.globalAlpha = 1
  }
  if (shown) drawPoints(view, context)
  drawTop(view)
}

function drawPoints(view, context) {
  const { data, places, codes } = view
  const radius = Math.max(1.6, view.base.width / 300)
  context.globalAlpha = 0.85
  for (let index = 0; index < data.count; index += 1) {
    const [x, y] = gridOf(view, [places[2 * index], places[2 * index + 1]])
    context.fillStyle = data.palette[codes[index] % data.palette.length]
    context.beginPath()
    context.arc((x + 0.5) * scale(view), (y + 0.5) * scale(view), radius, 0, 7)
    context.fill()
  }
  context.globalAlpha = 1
}

function schedule(view) {
  atNextFrame(view, drawTop)
}

function drawTop(view) {
  if (!view.grid) return
  const { top, data } = view
  const context = top.getContext("2d")
  context.clearRect(0, 0, top.width, top.width)
  cross(context, ...gridOf(view, data.pinned).map((value) => (value + 0.5) * scale(view)), top.width / 60)
  const names = data.dimensions.map((dimension) => `z${dimension}`)
  const words = (latent) => latent.map((value, index) => `${names[index]} = ${value.toFixed(2)}`).join(", ")
  if (!view.at) {
    view.said.textContent = `Chosen: ${words(data.pinned)}. Move over the map; click to decode a place exactly.`
    return
  }
  decode(view, view.at)
  const side = Math.min(top.width / 3, 132 * (window.devicePixelRatio || 1))
  const [x, y] = view.at.map((value) => (value + 0.5) * scale(view))
  // Above the pointer, and within the map.
  const left = Math.min(top.width - side - 4, Math.max(4, x - side / 2))
  const upper = y - side - side / 6 > 4 ? y - side - side / 6 : Math.min(top.width - side - 4, y + side / 6)
  context.imageSmoothingEnabled = true
  context.drawImage(view.lens, left, upper, side, side)
  context.lineWidth = Math.max(2, side / 50)
  context.strokeStyle = "#ffc400"
  context.strokeRect(left, upper, side, side)
  context.beginPath()
  context.arc(x, y, side / 26, 0, 7)
  context.stroke()
  view.said.textContent = `${words(latentOf(view, view.at))}: between the nearest four of ${data.shape[0] ** 2} decodings.`
}

function cross(context, x, y, arm) {
  for (const [width, colour] of [
    [6, "rgba(0,0,0,.75)"],
    [3, "#ffc400"],
  ]) {
    context.lineWidth = width
    context.strokeStyle = colour
    context.beginPath()
    context.moveTo(x - arm, y - arm)
    context.lineTo(x + arm, y + arm)
    context.moveTo(x + arm, y - arm)
    context.lineTo(x - arm, y + arm)
    context.stroke()
  }
}

function pin(view, place) {
  if (!view.grid) return
  const latent = latentOf(view, place)
  view.data = { ...view.data, pinned: latent }
  drawTop(view)
  // The time makes every choice a new value: choosing the same place again must count.
  view.send("at", [...latent, Date.now()])
}

function walk(view, event) {
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }
  if (!view.grid || !(event.key in steps || event.key === "Enter")) return
  event.preventDefault()
  const count = view.data.shape[0]
  const from = view.at ?? gridOf(view, view.data.pinned).map((value) => Math.min(count - 1, Math.max(0, value)))
  if (event.key === "Enter") return pin(view, from)
  const pace = event.shiftKey ? 2 : 0.5
  view.at = from.map((value, index) => Math.min(count - 1, Math.max(0, value + pace * steps[event.key][index])))
  schedule(view)
}
