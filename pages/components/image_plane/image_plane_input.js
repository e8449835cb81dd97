// What hands do: drag, wheel, two fingers, lasso, click, keys, the buttons above.

function listen(view, plane) {
  const { canvas } = plane
  const fingers = new Map()
  let moved = 0
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId)
    canvas.focus({ preventScroll: true })
    fingers.set(event.pointerId, at(plane, event))
    moved = 0
    const lasso = view.tool === "lasso" || event.shiftKey
    view.lasso = lasso && fingers.size === 1 ? { plane, points: [at(plane, event)], add: event.ctrlKey || event.metaKey } : null
  })
  canvas.addEventListener("pointermove", (event) => {
    const here = at(plane, event)
    const before = fingers.get(event.pointerId)
    if (!before) return point(view, plane, nearestTo(view, plane, here))
    moved += Math.hypot(here[0] - before[0], here[1] - before[1])
    if (fingers.size === 2) {
      const other = [...fingers].find(([id]) => id !== event.pointerId)[1]
      const distance = (place) => Math.hypot(place[0] - other[0], place[1] - other[1])
      zoom(view, plane, distance(here) / Math.max(1, distance(before)), [(here[0] + other[0]) / 2, (here[1] + other[1]) / 2])
    } else if (view.lasso) {
      view.lasso.points.push(here)
      schedule(view)
    } else if (moved > 4) drag(view, plane, here[0] - before[0], here[1] - before[1])
    fingers.set(event.pointerId, here)
  })
  const release = (event) => {
    if (!fingers.delete(event.pointerId)) return
    const turned = plane.turning
    plane.turning = false
    const lasso = view.lasso
    view.lasso = null
    if (event.type === "pointerup" && moved <= 4 && !fingers.size) click(view, plane, at(plane, event), event)
    else if (event.type === "pointerup" && lasso) enclose(view, lasso)
    else if (turned) schedule(view)
  }
  canvas.addEventListener("pointerup", release)
  canvas.addEventListener("pointercancel", release)
  canvas.addEventListener("pointerleave", () => point(view, plane, -1))
  canvas.addEventListener("blur", () => point(view, plane, -1))
  canvas.addEventListener("dblclick", (event) => zoom(view, plane, 2, at(plane, event)))
  canvas.addEventListener(
    "wheel",
    (event) => {
      // Zoomed out all the way, the page scrolls on.
      if (event.deltaY > 0 && plane.scale <= 0.6 * plane.fitted) return
      event.preventDefault()
      zoom(view, plane, Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), at(plane, event))
    },
    { passive: false },
  )
  canvas.addEventListener("keydown", (event) => onKey(view, plane, event))
}

function at(plane, event) {
  const box = plane.canvas.getBoundingClientRect()
  return [event.clientX - box.left, event.clientY - box.top]
}

function drag(view, plane, dx, dy) {
  if (view.data.layout.dimensions === 3) {
    plane.turning = true
    plane.yaw += dx * 0.008
    plane.pitch = Math.max(-1.5, Math.min(1.5, plane.pitch + dy * 0.008))
  } else {
    plane.free = true
    plane.x -= dx / plane.scale
    plane.y += dy / plane.scale
  }
  point(view, plane, -1)
  schedule(view)
}

function zoom(view, plane, factor, [x, y]) {
  const scale = Math.max(0.5 * plane.fitted, Math.min(200 * plane.fitted, plane.scale * factor))
  // What is under the pointer stays there.
  plane.x += (x - plane.width / 2) * (1 / plane.scale - 1 / scale)
  plane.y -= (y - plane.height / 2) * (1 / plane.scale - 1 / scale)
  plane.scale = scale
  plane.free = true
  schedule(view)
}

function point(view, plane, index) {
  if (view.hover === index) return
  view.hover = index
  view.pointed = index < 0 ? null : plane
  plane.canvas.style.cursor = view.tool === "lasso" ? "crosshair" : index < 0 ? "grab" : "pointer"
  schedule(view)
}

// The image under a place: the front one of the pictures that cover it, else a dot near by.
function nearestTo(view, plane, [x, y]) {
  if (!view.ready || !plane.width) return -1
  let best = -1
  let least = Infinity
  const half = sideOf(view, plane) / 2
  for (let index = 0; index < view.data.layout.count; index++) {
    const [atX, atY] = onScreen(plane, index)
    const [dx, dy] = [Math.abs(atX - x), Math.abs(atY - y)]
    const inside = plane.shown[index] ? Math.max(dx, dy) <= half : Math.hypot(dx, dy) <= 9
    if (!inside) continue
    const distance = Math.hypot(dx, dy) + (plane.shown[index] ? 0 : 2)
    if (distance < least) [best, least] = [index, distance]
  }
  return best
}

function click(view, plane, place, event) {
  const index = nearestTo(view, plane, place)
  if (event.ctrlKey || event.metaKey) {
    if (index < 0) return
    const items = new Set(view.selected)
    if (!items.delete(index)) items.add(index)
    choose(view, items, view.focus)
  } else if (index >= 0 || view.focus >= 0) choose(view, view.selected, index === view.focus ? -1 : index)
}

function enclose(view, { plane, points, add }) {
  const inside = add ? new Set(view.selected) : new Set()
  for (let index = 0; index < view.data.layout.count; index++)
    if (within(points, onScreen(plane, index))) inside.add(index)
  choose(view, inside, view.focus)
}

// Even-odd rule.
function within(points, [x, y]) {
  let inside = false
  for (let here = 0, before = points.length - 1; here < points.length; before = here++) {
    const [[ax, ay], [bx, by]] = [points[here], points[before]]
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside
  }
  return inside
}

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }

function onKey(view, plane, event) {
  if (!view.ready || event.altKey || event.ctrlKey || event.metaKey) return
  const middle = [plane.width / 2, plane.height / 2]
  const current = view.hover >= 0 ? view.hover : view.focus
  if (event.key in STEPS) {
    const next = inDirection(view, plane, current, STEPS[event.key])
    if (next >= 0) {
      point(view, plane, next)
      bringIn(plane, next)
      say(view, named(view, next))
    }
  } else if (event.key === "Enter" && current >= 0) choose(view, view.selected, current === view.focus ? -1 : current)
  else if (event.key === " " && current >= 0) {
    const items = new Set(view.selected)
    if (!items.delete(current)) items.add(current)
    choose(view, items, view.focus)
  } else if (event.key === "+" || event.key === "=") zoom(view, plane, 1.4, middle)
  else if (event.key === "-") zoom(view, plane, 1 / 1.4, middle)
  else if (event.key === "0") fit(view, plane)
  else if (event.key === "Escape" && (view.selected.size || view.focus >= 0)) choose(view, [], -1)
  else if (event.key === "l") setTool(view, view.tool === "lasso" ? "move" : "lasso")
  else return
  event.preventDefault()
  schedule(view)
}

// The image to go to: near, and rather straight ahead than aside; from nowhere, the one in the middle.
function inDirection(view, plane, from, [dx, dy]) {
  const start = from >= 0 ? onScreen(plane, from) : [plane.width / 2, plane.height / 2]
  let best = -1
  let least = Infinity
  for (let index = 0; index < view.data.layout.count; index++) {
    if (index === from) continue
    const [x, y] = onScreen(plane, index)
    const ahead = (x - start[0]) * dx + (y - start[1]) * dy
    const aside = Math.abs((x - start[0]) * dy) + Math.abs((y - start[1]) * dx)
    if (from >= 0 && ahead <= 0.5) continue
    const cost = from >= 0 ? ahead + 2 * aside : Math.abs(ahead) + aside
    if (cost < least) [best, least] = [index, cost]
  }
  return best
}

function bringIn(plane, index) {
  const [x, y] = onScreen(plane, index)
  const inside = x > 20 && y > 20 && x < plane.width - 20 && y < plane.height - 20
  if (inside) return
  plane.free = true
  ;[plane.x, plane.y] = [plane.world[2 * index], plane.world[2 * index + 1]]
}

function mountTools(view) {
  const on = (name, act) => (view.tools.querySelector(`[data-do="${name}"]`).onclick = act)
  on("move", () => setTool(view, "move"))
  on("lasso", () => setTool(view, "lasso"))
  for (const [name, factor] of [["in", 1.5], ["out", 1 / 1.5]])
    on(name, () => view.planes.forEach((plane) => zoom(view, plane, factor, [plane.width / 2, plane.height / 2])))
  on("fit", () => {
    if (view.ready) view.planes.forEach((plane) => fit(view, plane))
    schedule(view)
  })
  on("clear", () => choose(view, [], -1))
  const selects = [...view.tools.querySelectorAll("select")]
  for (const select of selects)
    select.onchange = () => {
      buildColours(view)
      schedule(view)
      view.send("paint", Object.fromEntries(selects.map((each) => [each.dataset.paint, each.value])))
    }
  const size = view.tools.querySelector("input")
  size.value = view.size
  size.oninput = () => {
    view.size = Number(size.value) < 14 ? 0 : Number(size.value)
    schedule(view)
  }
  view.film.querySelector("button").onclick = () => {
    view.playing = !view.playing
    view.began = undefined
    if (view.playing && view.time >= view.data.frames.length - 1) view.time = 0
    if (!view.playing) view.time = Math.round(view.time)
    showFilm(view)
    schedule(view)
  }
  const slider = view.film.querySelector("input")
  slider.oninput = () => {
    view.playing = false
    view.time = Number(slider.value)
    showFilm(view)
    schedule(view)
  }
  slider.onchange = () => {
    view.time = Math.round(Number(slider.value))
    showFilm(view)
    schedule(view)
  }
}

function setTool(view, tool) {
  view.tool = tool
  showTools(view)
}

function showTools(view) {
  for (const name of ["move", "lasso"])
    view.tools.querySelector(`[data-do="${name}"]`).setAttribute("aria-pressed", String(view.tool === name))
  view.tools.querySelector('[data-do="move"]').textContent = view.data?.layout.dimensions === 3 ? "Turn" : "Move"
  view.tools.querySelector('[data-do="clear"]').disabled = !view.selected.size && view.focus < 0
  for (const { canvas } of view.planes) {
    canvas.style.touchAction = view.tool === "lasso" || view.data.layout.dimensions === 3 ? "none" : "pan-y"
    canvas.style.cursor = view.tool === "lasso" ? "crosshair" : "grab"
  }
}
