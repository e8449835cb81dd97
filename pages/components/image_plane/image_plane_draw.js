// Drawing: where everything is on the screen, which images are pictures and which are dots.

function draw(view) {
  if (!view.ready) return
  for (const plane of view.planes) drawPlane(view, plane)
  drawCard(view)
}

function drawPlane(view, plane) {
  const { canvas } = plane
  const ratio = Math.min(2, window.devicePixelRatio || 1)
  const [width, height] = [canvas.clientWidth, canvas.clientHeight]
  if (!width || !height) return
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio)
    canvas.height = Math.round(height * ratio)
  }
  if (width !== plane.width || height !== plane.height) fit(view, plane)
  follow(view, plane)
  project(view, plane)
  rank(view, plane)
  const context = canvas.getContext("2d")
  context.setTransform(1, 0, 0, 1, 0, 0)
  context.clearRect(0, 0, canvas.width, canvas.height)
  context.drawImage(crowd(view, plane, ratio), 0, 0)
  context.setTransform(ratio, 0, 0, ratio, 0, 0)
  context.imageSmoothingEnabled = view.data.tile > 32
  drawLinks(context, view, plane)
  for (const index of [view.focus, view.hover]) if (index >= 0) drawMarked(context, view, plane, index)
  if (view.lasso?.plane === plane) drawLasso(context, view.lasso.points)
}

// All images of a plane. Kept until something else than the pointer or the lasso moves.
function crowd(view, plane, ratio) {
  const { width, height } = plane.canvas
  const key = [plane.worldFor, plane.shownFor, plane.x, plane.y, plane.scale, width, height, view.changes].join("/")
  if (plane.crowdFor === key) return plane.crowd
  plane.crowdFor = key
  if (plane.crowd?.width !== width || plane.crowd?.height !== height) plane.crowd = new OffscreenCanvas(width, height)
  const context = plane.crowd.getContext("2d")
  context.setTransform(ratio, 0, 0, ratio, 0, 0)
  context.clearRect(0, 0, width, height)
  context.imageSmoothingEnabled = view.data.tile > 32
  context.imageSmoothingQuality = "medium"
  drawDots(context, view, plane, ratio)
  const chosen = view.selected.size > 0
  // What is not selected first, so that it lies below.
  for (const bright of chosen ? [false, true] : [true])
    for (const index of plane.order ?? view.rank) {
      if (!plane.shown[index] || (chosen && view.selected.has(index) !== bright)) continue
      const [x, y] = onScreen(plane, index)
      const inside = x > -60 && y > -60 && x < plane.width + 60 && y < plane.height + 60
      if (inside) drawPicture(context, view, plane, index, x, y, bright ? 1 : 0.16)
    }
  context.globalAlpha = 1
  return plane.crowd
}

function onScreen(plane, index) {
  return [
    plane.width / 2 + (plane.world[2 * index] - plane.x) * plane.scale,
    plane.height / 2 - (plane.world[2 * index + 1] - plane.y) * plane.scale,
  ]
}

// Positions in the world as they are now: between two frames, and turned if there are three dimensions.
function project(view, plane) {
  const { count, dimensions } = view.data.layout
  const key = `${view.time}/${plane.yaw}/${plane.pitch}`
  if (plane.worldFor === key) return
  plane.worldFor = key
  const before = plane.frames[Math.floor(view.time)]
  const after = plane.frames[Math.ceil(view.time)]
  const share = view.time - Math.floor(view.time)
  const [sinYaw, cosYaw] = [Math.sin(plane.yaw), Math.cos(plane.yaw)]
  const [sinPitch, cosPitch] = [Math.sin(plane.pitch), Math.cos(plane.pitch)]
  for (let index = 0; index < count; index++) {
    const at = dimensions * index
    let x = before[at] + share * (after[at] - before[at])
    let y = before[at + 1] + share * (after[at + 1] - before[at + 1])
    if (dimensions === 3) {
      const z = before[at + 2] + share * (after[at + 2] - before[at + 2])
      const [turned, back] = [cosYaw * x + sinYaw * z, cosYaw * z - sinYaw * x]
      const depth = sinPitch * y + cosPitch * back
      const lens = 4 / (4 - Math.max(-2, Math.min(2, depth))) // nearer is larger
      x = turned * lens
      y = (cosPitch * y - sinPitch * back) * lens
      plane.depth[index] = depth
    }
    plane.world[2 * index] = x
    plane.world[2 * index + 1] = y
  }
  plane.order = dimensions === 3 ? farthestFirst(plane.depth) : null
}

function farthestFirst(depth) {
  return Array.from(depth.keys()).sort((a, b) => depth[a] - depth[b])
}

// Which images are shown as pictures: as many as fit at this zoom. Decided for steps of the zoom
// and in the plane's own coordinates, so that nothing flickers while it is moved.
function rank(view, plane) {
  const moving = view.playing || view.time !== Math.round(view.time) || plane.turning
  const level = Math.floor(2 * Math.log2(plane.scale / plane.fitted)) / 2
  const turned = view.data.layout.dimensions === 3 ? plane.worldFor : ""
  const key = `${level}/${view.size}/${view.time}/${turned}`
  if (plane.shownFor === key || (moving && plane.shownFor !== null)) return
  plane.shownFor = key
  plane.level = plane.fitted * 2 ** level
  // Close by, where there is room, pictures may be larger.
  plane.side = view.size * Math.max(1, Math.min(3.5, 2 ** (0.4 * level)))
  plane.shown.fill(0)
  if (!view.size || !view.data.pictured) return
  // A little overlap fills the plane; what lies below can still be told.
  const side = (0.75 * plane.side) / plane.level
  // One number for a cell and its neighbours, small enough to be quick; far cells that share it do no harm.
  const cell = (column, row) => ((column & 0x3fff) << 14) | (row & 0x3fff)
  const taken = new Map()
  const place = (index) => {
    if (plane.shown[index]) return
    const [x, y] = [plane.world[2 * index], plane.world[2 * index + 1]]
    const [column, row] = [Math.floor(x / side), Math.floor(y / side)]
    // Most are refused by their own cell, which is looked at first.
    for (let step = 0; step < 9; step++) {
      const other = taken.get(cell(column + AROUND[step][0], row + AROUND[step][1]))
      if (other === undefined) continue
      if (Math.abs(plane.world[2 * other] - x) < side && Math.abs(plane.world[2 * other + 1] - y) < side) return
    }
    taken.set(cell(column, row), index)
    plane.shown[index] = 1
  }
  if (view.focus >= 0) {
    place(view.focus)
    nearOf(view, plane, view.focus).forEach(place)
  }
  if (view.selected.size) for (const index of view.rank) if (view.selected.has(index)) place(index)
  for (const index of view.rank) place(index)
}

const AROUND = [[0, 0], [0, 1], [1, 0], [0, -1], [-1, 0], [1, 1], [1, -1], [-1, 1], [-1, -1]]

function nearOf(view, plane, index) {
  const { near } = view.data.layout
  return Array.from(plane.near[Math.round(view.time)].subarray(index * near, (index + 1) * near))
}

// Pictures grow with the zoom until the next ones fit between them.
function sideOf(view, plane) {
  return plane.side * Math.min(1.45, plane.scale / plane.level)
}

function lens(plane, index, dimensions) {
  return dimensions === 3 ? Math.max(0.55, Math.min(1.5, 1 + plane.depth[index] / 4)) : 1
}

function tileOf(view, index) {
  const { tile, columns } = view.data
  return [(index % columns) * tile, Math.floor(index / columns) * tile]
}

function drawPicture(context, view, plane, index, x, y, alpha) {
  const { tile, layout } = view.data
  const { colour, outline } = view.paint
  const side = sideOf(view, plane) * lens(plane, index, layout.dimensions)
  const [left, top] = tileOf(view, index)
  context.globalAlpha = alpha
  context.drawImage(view.sheet, left, top, tile, tile, x - side / 2, y - side / 2, side, side)
  const line = side > 26 ? 2.5 : 1.5
  context.lineWidth = line
  if (colour.legend.length > 1 || view.selected.has(index)) {
    context.strokeStyle = colourOf(colour, index)
    context.strokeRect(x - side / 2, y - side / 2, side, side)
  }
  if (!outline) return
  // Around it, and dashed in a way of its own, for eyes that cannot tell the colours.
  context.lineWidth = line + 1
  context.setLineDash(DASHES[outline.codes[index] % DASHES.length])
  context.strokeStyle = colourOf(outline, index)
  context.strokeRect(x - side / 2 - line - 1, y - side / 2 - line - 1, side + 2 * line + 2, side + 2 * line + 2)
  context.setLineDash([])
}

const DASHES = [[], [6, 3], [2, 2], [9, 3, 2, 3]]

// From the clicked image to its nearest in the original space: long lines are neighbours that the plane has torn apart.
function drawLinks(context, view, plane) {
  if (view.focus < 0) return
  const own = nearOf(view, plane, view.focus)
  const elsewhere = view.planes.length > 1 ? new Set(nearOf(view, view.planes[1 - plane.index], view.focus)) : null
  const [x, y] = onScreen(plane, view.focus)
  for (const index of own) {
    const [toX, toY] = onScreen(plane, index)
    for (const [colour, width] of [["rgba(0,0,0,.55)", 4], [elsewhere?.has(index) ? "#35d07f" : "#ffc400", 2]]) {
      context.strokeStyle = colour
      context.lineWidth = width
      context.beginPath()
      context.moveTo(x, y)
      context.lineTo(toX, toY)
      context.stroke()
    }
  }
  for (const index of own) drawMarked(context, view, plane, index, elsewhere?.has(index) ? "#35d07f" : "#ffc400", 0.7)
}

function drawMarked(context, view, plane, index, colour, grow = 1) {
  const [x, y] = onScreen(plane, index)
  const side = Math.max(24, view.size && sideOf(view, plane)) * grow * (index === view.hover ? 1.35 : 1.15)
  const [left, top] = tileOf(view, index)
  const { tile } = view.data
  context.globalAlpha = 1
  if (view.data.pictured) context.drawImage(view.sheet, left, top, tile, tile, x - side / 2, y - side / 2, side, side)
  context.lineWidth = 4
  context.strokeStyle = "rgba(0,0,0,.75)"
  context.strokeRect(x - side / 2, y - side / 2, side, side)
  context.lineWidth = 2
  context.strokeStyle = colour ?? (index === view.focus ? "#ffc400" : "#ffffff")
  context.strokeRect(x - side / 2, y - side / 2, side, side)
}

function drawLasso(context, points) {
  context.beginPath()
  points.forEach(([x, y], index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)))
  context.closePath()
  context.fillStyle = "rgba(255,196,0,.16)"
  context.fill()
  context.lineWidth = 2
  context.strokeStyle = "#ffc400"
  context.stroke()
}

// The picture under the pointer, large, beside the pointer, with its name.
function drawCard(view) {
  const { card, hover, pointed } = view
  card.hidden = hover < 0 || !pointed
  if (card.hidden) return
  const canvas = card.querySelector("canvas")
  canvas.hidden = !view.data.pictured
  const context = canvas.getContext("2d")
  const [left, top] = tileOf(view, hover)
  const { tile } = view.data
  context.imageSmoothingEnabled = tile > 32
  context.drawImage(view.sheet, left, top, tile, tile, 0, 0, canvas.width, canvas.height)
  card.querySelector("span").textContent = named(view, hover)
  const frame = view.stage.getBoundingClientRect()
  const box = pointed.canvas.getBoundingClientRect()
  const [x, y] = onScreen(pointed, hover)
  const atX = box.left - frame.left + x
  const atY = box.top - frame.top + y
  card.style.left = `${atX > frame.width / 2 ? atX - card.offsetWidth - 34 : atX + 34}px`
  card.style.top = `${Math.max(0, Math.min(frame.height - card.offsetHeight, atY - card.offsetHeight / 2))}px`
}

// The whole plane in sight, but for a few points far outside; of a film, each frame as it comes.
function fit(view, plane) {
  plane.width = plane.canvas.clientWidth || 600
  plane.height = plane.canvas.clientHeight || 500
  plane.whole = plane.frames.map((frame) => framing(view, plane, frame))
  plane.free = false // until somebody zooms or moves
  plane.shownFor = null
  follow(view, plane)
}

function framing(view, plane, frame) {
  const { count, dimensions } = view.data.layout
  const extent = (axis) => {
    const values = Float32Array.from({ length: count }, (_, index) => frame[dimensions * index + axis]).sort()
    const [least, small, large, most] = [0, 0.01, 0.99, 1].map((share) => values[Math.round(share * (count - 1))])
    const slack = 0.3 * (large - small)
    const [low, high] = [Math.max(least, small - slack), Math.min(most, large + slack)]
    return [(low + high) / 2, (high - low) / 2]
  }
  const [[x, across], [y, up]] = [extent(0), extent(1)]
  const reach = dimensions === 3 ? Math.hypot(across, up, extent(2)[1]) * 0.75 : 0
  const scales = [(plane.width / 2 - 24) / Math.max(reach || across, 1e-6), (plane.height / 2 - 24) / Math.max(reach || up, 1e-6)]
  return { x: reach ? 0 : x, y: reach ? 0 : y, scale: Math.max(1e-3, Math.min(...scales, 1e5)) }
}

// The camera goes with the film, from frame to frame.
function follow(view, plane) {
  if (plane.free) return
  const [from, to] = [plane.whole[Math.floor(view.time)], plane.whole[Math.ceil(view.time)]]
  const share = view.time - Math.floor(view.time)
  for (const name of ["x", "y", "scale"]) plane[name] = from[name] + share * (to[name] - from[name])
  plane.fitted = plane.scale
}
