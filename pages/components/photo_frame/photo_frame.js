// A small photo with the frame of what the model sees; the frame moves along the side that is cut.

export default function (component) {
  const { data } = component
  const view = viewOf(component, mount)
  view.data = data
  view.place = data.place
  view.photo.src = data.photo
  // The photo lies in a box that has room for bands beside it.
  const shares = [Math.max(1, data.seen[2] - data.seen[0]), Math.max(1, data.seen[3] - data.seen[1])]
  Object.assign(view.box.style, { width: `${data.box[0]}px`, height: `${data.box[1]}px` })
  Object.assign(view.photo.style, {
    left: `${((shares[0] - 1) / 2 / shares[0]) * 100}%`, top: `${((shares[1] - 1) / 2 / shares[1]) * 100}%`,
    width: `${100 / shares[0]}%`, height: `${100 / shares[1]}%`,
  })
  view.shares = shares
  const moves = data.axis !== ""
  view.frame.style.cursor = moves ? "grab" : "default"
  view.frame.tabIndex = moves ? 0 : -1
  view.frame.setAttribute("role", moves ? "slider" : "img")
  view.frame.setAttribute("aria-label", data.alt)
  if (moves) {
    view.frame.setAttribute("aria-orientation", data.axis === "x" ? "horizontal" : "vertical")
    view.frame.setAttribute("aria-valuemin", "0")
    view.frame.setAttribute("aria-valuemax", "100")
  }
  draw(view)
}

function mount(parent) {
  const view = {
    box: parent.querySelector(".box"), photo: parent.querySelector("img"), frame: parent.querySelector(".frame"),
  }
  view.frame.addEventListener("pointerdown", (event) => {
    if (!view.data.axis) return
    event.preventDefault()
    view.frame.focus()
    view.frame.setPointerCapture(event.pointerId)
    view.from = { pointer: along(view, event), place: view.place }
  })
  view.frame.addEventListener("pointermove", (event) => {
    if (!view.from) return
    const box = view.box.getBoundingClientRect()
    const pixels = view.data.axis === "x" ? box.width : box.height
    move(view, view.from.place + (along(view, event) - view.from.pointer) / (pixels * (1 - view.data.side)))
  })
  for (const name of ["pointerup", "pointercancel"]) {
    view.frame.addEventListener(name, () => {
      if (view.from && view.from.place !== view.place) tell(view)
      view.from = null
    })
  }
  view.frame.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -0.05, ArrowUp: -0.05, ArrowRight: 0.05, ArrowDown: 0.05 }[event.key]
    const end = { Home: 0, End: 1 }[event.key]
    if (!view.data.axis || (step === undefined && end === undefined)) return
    event.preventDefault()
    move(view, end ?? view.place + step)
    clearTimeout(view.rest)
    view.rest = setTimeout(() => tell(view), 300)
  })
  return view
}

const along = (view, event) => (view.data.axis === "x" ? event.clientX : event.clientY)

function move(view, place) {
  view.place = Math.round(Math.min(1, Math.max(0, place)) * 1000) / 1000
  draw(view)
}

function tell(view) {
  view.send("place", view.place)
}

function draw(view) {
  const [left, top, right, bottom] = view.data.seen
  // The square of the photo, `side` of its longer side, is what moves; the model may see less than all of it.
  const shift = (view.place - view.data.place) * (1 - view.data.side)
  const [across, down] = [view.data.axis === "x" ? shift : 0, view.data.axis === "y" ? shift : 0]
  const margins = view.shares.map((share) => (share - 1) / 2)
  Object.assign(view.frame.style, {
    left: `${((left + across + margins[0]) / view.shares[0]) * 100}%`,
    top: `${((top + down + margins[1]) / view.shares[1]) * 100}%`,
    width: `${((right - left) / view.shares[0]) * 100}%`,
    height: `${((bottom - top) / view.shares[1]) * 100}%`,
  })
  if (view.data.axis) view.frame.setAttribute("aria-valuenow", String(Math.round(view.place * 100)))
}
