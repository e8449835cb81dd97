// Pointer, keys and controls: all of them end in `choose`.

const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }

function listen(view) {
  const { controls, canvas, mosaic } = view
  controls.layer.addEventListener("input", () => turned(view, { layer: Number(controls.layer.value) - 1 }))
  controls.mass.addEventListener("input", () => turned(view, { mass: Number(controls.mass.value) }))
  controls.as_seen.addEventListener("change", () => turned(view, { as_seen: controls.as_seen.checked }))
  for (const name of ["head", "kind", "direction"])
    controls[name].addEventListener("change", () => turned(view, { [name]: controls[name].value }))
  view.play.addEventListener("click", () => (view.timer ? stop(view) : start(view)))
  view.fold.addEventListener("click", () => {
    const open = view.fold.getAttribute("aria-expanded") === "true"
    view.fold.setAttribute("aria-expanded", String(!open))
  })
  canvas.addEventListener("pointermove", (event) => point(view, patchAt(view, event)))
  canvas.addEventListener("pointerleave", () => point(view, null))
  canvas.addEventListener("blur", () => point(view, null))
  canvas.addEventListener("click", (event) => select(view, patchAt(view, event)))
  canvas.addEventListener("keydown", (event) => onPhotoKey(view, event))
  mosaic.addEventListener("pointermove", (event) => {
    view.cell_hover = cellAt(view, event)
    show(view)
  })
  mosaic.addEventListener("pointerleave", () => {
    view.cell_hover = null
    show(view)
  })
  mosaic.addEventListener("click", (event) => {
    const [layer, head] = cellAt(view, event)
    turned(view, { layer, head: String(head + 1) })
  })
  mosaic.addEventListener("keydown", (event) => onMosaicKey(view, event))
  // Whoever goes on to something else on the page finds it speaking of what is shown.
  document.addEventListener("pointerdown", function aside(event) {
    if (!view.whole.isConnected) document.removeEventListener("pointerdown", aside, true)
    else if (!view.timer && !event.composedPath().includes(view.whole)) tell(view)
  }, true)
}

// By hand: the film stops where it is.
function turned(view, changes) {
  stop(view)
  choose(view, changes)
}

function point(view, patch) {
  if (patch === view.hover) return
  view.hover = patch
  show(view)
  if (view.data.linked) pointTogether(view, patch)
}

function select(view, patch) {
  if (view.data.linked) return // what is compared is what the heads read
  turned(view, { patch: patch === view.choice.patch ? -1 : patch })
}

function placeOf(element, event, rows, cols) {
  const box = element.getBoundingClientRect()
  const inside = (share, count) => Math.min(count - 1, Math.max(0, Math.floor(share * count)))
  return [inside((event.clientY - box.top) / box.height, rows), inside((event.clientX - box.left) / box.width, cols)]
}

function patchAt(view, event) {
  const { rows, cols } = view.data
  const [row, column] = placeOf(view.canvas, event, rows, cols)
  return row * cols + column
}

function cellAt(view, event) {
  const [columns, rows] = gridOf(view)
  const [row, column] = placeOf(view.mosaic, event, rows, columns)
  return view.across ? [column, row] : [row, column]
}

function onPhotoKey(view, event) {
  const { rows, cols } = view.data
  const { patch } = view.choice
  const at = view.hover ?? (patch >= 0 ? patch : Math.floor(rows / 2) * cols + Math.floor(cols / 2))
  if (event.key in STEPS) {
    const [down, right] = STEPS[event.key].map((each) => each * (event.shiftKey ? 4 : 1))
    const row = Math.min(rows - 1, Math.max(0, Math.floor(at / cols) + down))
    point(view, row * cols + Math.min(cols - 1, Math.max(0, (at % cols) + right)))
  } else if (event.key === "Enter" || event.key === " ") select(view, at)
  else if (event.key === "Escape") {
    view.hover = null
    turned(view, { patch: -1 })
  } else return
  event.preventDefault()
}

function onMosaicKey(view, event) {
  if (!(event.key in STEPS)) return
  event.preventDefault()
  const { layers, heads } = view.data
  const [down, right] = STEPS[event.key]
  const [further, beside] = view.across ? [right, down] : [down, right]
  const head = headOf(view)
  const moved = beside ? Math.min(heads - 1, Math.max(0, head + beside)) : head
  turned(view, {
    layer: Math.min(layers - 1, Math.max(0, view.choice.layer + further)),
    head: moved < 0 ? view.choice.head : String(moved + 1),
  })
}

// The parts that depend on the model: choices, labels, frames.
function build(view) {
  const { data, controls } = view
  controls.layer.max = data.layers
  const option = (value, text) => Object.assign(document.createElement("option"), { value, textContent: text })
  controls.head.replaceChildren(
    ...FUSIONS.map((each) => option(each, `${each} of all`)),
    ...Array.from({ length: data.heads }, (_, head) => option(String(head + 1), `head ${head + 1}`))
  )
  view.pixels.textContent = `${data.side} px input`
  view.canvas.setAttribute("aria-label", `${data.title}, ${data.rows} by ${data.cols} patches. Arrow keys move over them, Enter chooses one, Escape none.`)
  const parts = ["attention", "rollout"].flatMap((kind) => {
    const title = Object.assign(document.createElement("div"), { className: "title" })
    const frames = Object.assign(document.createElement("div"), { className: "frames" })
    frames.append(...Array.from({ length: data.layers }, (_, layer) => frame(view, kind, layer)))
    return [title, frames]
  })
  view.films.replaceChildren(...parts)
}

function frame(view, kind, layer) {
  const button = document.createElement("button")
  button.type = "button"
  button.setAttribute("aria-label", `Layer ${layer + 1}: ${kind}`)
  button.append(document.createElement("canvas"))
  button.addEventListener("click", () => turned(view, { layer, kind }))
  return button
}

// The controls say what is chosen.
function sync(view) {
  const { controls, choice } = view
  const layer = String(choice.layer + 1)
  if (controls.layer.value !== layer) controls.layer.value = layer
  controls.layer.nextElementSibling.textContent = layer
  controls.layer.disabled = view.data.layers < 2
  for (const name of ["head", "kind", "direction"]) if (controls[name].value !== choice[name]) controls[name].value = choice[name]
  controls.direction.disabled = choice.kind === "rollout"
  controls.mass.value = choice.mass
  controls.mass.nextElementSibling.textContent = choice.mass < 100 ? `${choice.mass} %` : "all"
  controls.as_seen.checked = choice.as_seen
}
