// Six operators side by side, all in the browser: sliders move them, a click asks another position. The server hears of
// what was chosen when the finger rests. Numbers are in operators_math.js and operators_field.js, pictures in
// operators_draw.js, one operator step by step in operators_mechanism.js; Python joins the files.
const SLICE_MS = 40 // of a sweep, between two looks at what the hand does
const REST_MS = 250

export default function (component) {
  const { data } = component
  const view = viewOf(component, mount)
  update(view, data)
}

function mount(parent) {
  const find = (name) => parent.querySelector(name)
  const view = {
    parent,
    grid: find(".columns"),
    said: find(".said"),
    warning: find(".warning"),
    mechanism: find(".mechanism"),
    controls: Object.fromEntries([...parent.querySelectorAll("[data-control]")].map((each) => [each.dataset.control, each])),
    columns: [],
    known: "", // the state that the server told last
    pending: [], // those that it was told and has not answered
    swept: "",
    sweeping: false,
    timer: null,
  }
  mountControls(view)
  parent.addEventListener("pointerover", (event) => light(view, event.target.closest?.("[data-term]")?.dataset.term))
  parent.addEventListener("focusin", (event) => light(view, event.target.closest?.("[data-term]")?.dataset.term))
  parent.addEventListener("pointerleave", () => light(view))
  return view
}

function update(view, data) {
  view.data = data
  view.tables = { heat: bytesOf(data.colours.heat), signed: bytesOf(data.colours.signed) }
  if (view.signature !== data.signature) {
    view.signature = data.signature
    const arrays = Object.fromEntries(Object.entries(data.arrays).map(([name, text]) => [name, numbers(text)]))
    const there = data.columns.filter((column) => !column.missing)
    const layers = layersOf(there, arrays, data.grid)
    view.layers = data.columns.map((column) => (column.missing ? null : layers[there.indexOf(column)]))
    view.readouts = data.columns.map((column) => arrays[column.readout])
    view.picture = arrays[data.picture]
    view.swept = ""
    build(view)
  }
  // An answer to what was sent, however late, must not take back what the hand has done since.
  const asked = JSON.stringify(data.state)
  const answered = view.pending.indexOf(asked)
  if (answered >= 0) view.pending.splice(0, answered + 1)
  else if (asked !== view.known) {
    clearTimeout(view.timer)
    view.pending = []
    view.state = { ...data.state }
  }
  view.known = asked
  showControls(view)
  light(view)
  refresh(view)
}

const numbers = (text) => Float64Array.from(new Float32Array(bytesOf(text).buffer))

// Something was chosen: what is about one position follows at once, the rest in slices.
function choose(view, changes) {
  const { height, width } = { height: view.data.grid[0], width: view.data.grid[1] }
  Object.assign(view.state, changes)
  view.state.at = Math.min(height * width - 1, Math.max(0, view.state.at))
  view.warning.textContent = ""
  showControls(view)
  if (!view.frame) view.frame = requestAnimationFrame(() => refresh(view))
  clearTimeout(view.timer)
  view.timer = setTimeout(() => {
    view.pending.push(JSON.stringify(view.state))
    view.send("state", { ...view.state })
  }, REST_MS)
}

function refresh(view) {
  view.frame = null
  const started = performance.now()
  const { state } = view
  view.state.channel = Math.min(state.channel, Math.min(...view.layers.filter(Boolean).map((layer) => layer.channels)) - 1)
  drawPosition(view)
  drawMechanism(view)
  view.parent.querySelector(".columns").dataset.positionMs = (performance.now() - started).toFixed(1)
  if (!view.sweeping) startSweep(view)
}

const sweptState = ({ kernel, temperature, weight }) => JSON.stringify([kernel, temperature, weight])

function startSweep(view) {
  const wanted = sweptState(view.state)
  if (view.swept === `${view.signature}/${wanted}`) return
  const { signature } = view
  const run = sweep(view.layers, { ...view.state })
  let busy = 0
  view.sweeping = true
  const slice = () => {
    const started = performance.now()
    let step = run.next()
    while (!step.done && performance.now() - started < SLICE_MS) step = run.next()
    if (step.done && signature === view.signature) {
      view.swept = `${signature}/${wanted}`
      view.results = step.value
      drawOutputs(view)
    }
    busy += performance.now() - started
    if (!step.done && signature === view.signature) return setTimeout(slice, 0)
    view.grid.dataset.sweepMs = busy.toFixed(1)
    view.grid.dataset.swept = wanted
    view.sweeping = false
    startSweep(view) // what was chosen meanwhile
  }
  slice()
}

function mountControls(view) {
  const { controls } = view
  const slide = (name, change) => {
    controls[name].addEventListener("input", () => change(Number(controls[name].value)))
  }
  slide("kernel", (place) => choose(view, { kernel: view.data.sizes[place] }))
  slide("temperature", (exponent) => choose(view, { temperature: rounded(10 ** exponent) }))
  slide("weight", (weight) => choose(view, { weight }))
  const type = (name, change) => {
    controls[name].addEventListener("change", () => {
      const value = Number(controls[name].value)
      const wrong = controls[name].value.trim() && Number.isFinite(value) ? change(value) : "That is no number."
      if (wrong) controls[name].value = view.state[name.replace("Number", "")]
      view.warning.textContent = wrong ? `${wrong} Nothing was changed.` : ""
    })
  }
  type("kernelNumber", (size) => {
    if (!view.data.sizes.includes(size)) return view.data.refused[size] ?? view.data.refused.other
    choose(view, { kernel: size })
  })
  type("temperatureNumber", (temperature) => {
    const [low, high] = view.data.temperatures
    if (!(temperature >= low && temperature <= high)) return `The temperature is ${temperature}; choose one from ${low} to ${high}.`
    choose(view, { temperature })
  })
  type("weightNumber", (weight) => {
    if (!(Math.abs(weight) <= 10)) return `The weight is ${weight}; choose one from −10 to 10.`
    choose(view, { weight })
  })
}

const rounded = (value) => Number(value.toPrecision(3))

function showControls(view) {
  const { controls, state, data } = view
  controls.kernel.max = data.sizes.length - 1
  controls.kernel.disabled = controls.kernelNumber.disabled = data.sizes.length < 2
  controls.temperature.min = Math.log10(data.temperatures[0])
  controls.temperature.max = Math.log10(data.temperatures[1])
  controls.kernel.value = data.sizes.indexOf(state.kernel)
  controls.kernel.setAttribute("aria-valuetext", `${state.kernel} by ${state.kernel}`)
  controls.temperature.value = Math.log10(state.temperature)
  controls.temperature.setAttribute("aria-valuetext", String(state.temperature))
  controls.weight.value = state.weight
  const typing = view.parent.getRootNode().activeElement ?? view.parent.activeElement
  const write = (control, value) => {
    if (control !== typing) control.value = value // what is being typed stays
  }
  write(controls.kernelNumber, state.kernel)
  write(controls.temperatureNumber, state.temperature)
  write(controls.weightNumber, state.weight)
  view.parent.querySelector(".usual").textContent = data.usual
}

// The term under the pointer, wherever it stands; and what it means.
function light(view, term) {
  for (const each of view.parent.querySelectorAll(".lit")) each.classList.remove("lit")
  if (term) for (const each of view.parent.querySelectorAll(`[data-term="${term}"]`)) each.classList.add("lit")
  const { terms } = view.data
  view.said.textContent = terms[term] ?? terms.none
}

// Positions by pointer or arrow keys, on anything that is a map of all positions.
function watch(view, frame) {
  const { width } = { width: view.data.grid[1] }
  frame.addEventListener("click", (event) => choose(view, { at: positionAt(view, frame, event) }))
  frame.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }
    if (!(event.key in steps)) return
    event.preventDefault()
    const [rows, columns] = view.data.grid
    const [down, right] = steps[event.key]
    const row = Math.min(rows - 1, Math.max(0, Math.floor(view.state.at / width) + down))
    choose(view, { at: row * width + Math.min(columns - 1, Math.max(0, (view.state.at % width) + right)) })
  })
}

function positionAt(view, frame, event) {
  const box = frame.getBoundingClientRect()
  const [rows, columns] = view.data.grid
  const row = Math.min(rows - 1, Math.max(0, Math.floor(((event.clientY - box.top) / box.height) * rows)))
  return row * columns + Math.min(columns - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * columns)))
}
