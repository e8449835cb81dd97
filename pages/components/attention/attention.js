// One photo's attention: the photo, every layer and head, and the film of the layers, drawn here from numbers that are
// fetched once. Whatever is chosen is drawn with the next frame; the server hears of it when the finger rests.

const REST = 300 // milliseconds without another choice
const TURN = 700 // milliseconds a frame of the film

export default function (component) {
  const { data } = component
  const view = viewOf(component, mount)
  const another = view.data?.signature !== data.signature
  view.data = data
  frameOf(view)?.style.removeProperty("opacity")
  if (another) begin(view)
  return () => leave(view)
}

function mount(parent) {
  const find = (name) => parent.querySelector(name)
  const named = (name) => find(`[name="${name}"]`)
  const view = {
    whole: find(".whole"),
    stage: find(".stage"),
    canvas: find(".photo"),
    said: find(".said"),
    scale: find(".scale"),
    mosaic: find(".mosaic"),
    cell: find(".cell"),
    films: find(".films"),
    play: find(".play"),
    fold: find(".fold"),
    pixels: find(".pixels"),
    controls: Object.fromEntries(["layer", "head", "kind", "direction", "mass", "as_seen"].map((each) => [each, named(each)])),
    photos: { photo: new Image(), seen: new Image() },
    hover: null, // patch under the pointer or the arrow keys
    cell_hover: null, // layer and head under the pointer
    timer: null, // of the film
    stale: {}, // what is drawn less often than the photo
  }
  for (const photo of Object.values(view.photos)) photo.onload = () => redraw(view)
  listen(view)
  const room = new ResizeObserver(() => fit(view))
  room.observe(view.whole)
  return view
}

// Another photo or model: its numbers are fetched, and the view stands where the server says.
async function begin(view) {
  const { data } = view
  stop(view)
  view.choice = { ...data.choice }
  view.sent = JSON.stringify(view.choice)
  view.hover = view.cell_hover = null
  view.reader = null
  view.weights = new Map() // layer → {low, step, bytes}, or null while it is on its way
  view.rolled = { head: null, steps: [] }
  view.colours = data.colours.map(bytesOf)
  view.photos.photo.src = data.photo
  view.photos.seen.src = data.seen
  join(view)
  build(view)
  fit(view)
  view.said.textContent = "Fetching the attention …"
  const found = await fetched(view, data.reader, "The attention")
  if (!found || view.data.signature !== data.signature) return
  const numbers = new Float32Array(found.buffer)
  const tokens = data.prefix + data.rows * data.cols
  view.reader = { share: numbers.subarray(0, tokens), rows: numbers.subarray(tokens) }
  redraw(view)
  if (data.weights.length === 1) fetchWeights(view, 0)
}

// The weights of a layer, or of all where they are one file.
async function fetchWeights(view, layer) {
  const { data, weights } = view
  const file = data.weights.length === 1 ? 0 : layer
  if (weights.has(layer)) return
  const layers = data.weights.length === 1 ? [...Array(data.layers).keys()] : [layer]
  layers.forEach((each) => weights.set(each, null))
  const found = await fetched(view, data.weights[file], "The attention of the patches")
  if (view.weights !== weights) return // of another photo meanwhile
  if (!found) return layers.forEach((each) => weights.delete(each))
  const rows = data.heads * (data.prefix + data.rows * data.cols)
  const size = found.length / layers.length
  layers.forEach((each, index) => {
    const part = found.slice(index * size, (index + 1) * size)
    weights.set(each, {
      low: new Float32Array(part.buffer, 0, rows),
      step: new Float32Array(part.buffer, 4 * rows, rows),
      bytes: part.subarray(8 * rows),
    })
  })
  redraw(view)
}

// What is chosen, by whatever: drawn with the next frame, told when nothing else follows.
function choose(view, changes) {
  const before = view.choice
  view.choice = { ...before, ...changes }
  view.stale.mosaic ||= before.mass !== view.choice.mass
  view.stale.films ||= before.head !== view.choice.head || before.kind !== view.choice.kind
  show(view)
  clearTimeout(view.resting)
  if (!view.timer) view.resting = setTimeout(() => tell(view), REST)
}

function tell(view) {
  clearTimeout(view.resting)
  const told = JSON.stringify(view.choice)
  if (view.sent === told) return
  view.sent = told
  // The words follow from the server; meanwhile the picture is no older than they are, and must not pale.
  frameOf(view)?.style.setProperty("opacity", "1", "important")
  view.send("choice", { ...view.choice, signature: view.data.signature })
}

const frameOf = (view) => view.whole.getRootNode().host?.closest('[data-testid="stElementContainer"]')

function leave(view) {
  clearInterval(view.timer)
  clearTimeout(view.resting)
  clearTimeout(view.filming)
  clearTimeout(view.rolling)
}

function start(view) {
  view.timer = setInterval(() => choose(view, { layer: (view.choice.layer + 1) % view.data.layers }), TURN)
  showPlay(view)
}

function stop(view) {
  if (!view.timer) return
  clearInterval(view.timer)
  view.timer = null
  showPlay(view)
  tell(view)
}

function showPlay(view) {
  view.play.textContent = view.timer ? "❚❚" : "▶"
  view.play.setAttribute("aria-label", view.timer ? "Stop at this layer" : "Play the layers")
}
