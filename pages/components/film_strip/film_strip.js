// Rows of frames that advance together, layer by layer, with a play control.

export default function (component) {
  const { data } = component
  const view = viewOf(component, mount)
  const signature = data.signature
  if (view.signature !== signature) {
    view.signature = signature
    view.data = data
    view.index = Math.min(data.start, data.labels.length - 1)
    build(view)
  }
  show(view)
  return () => clearInterval(view.timer)
}

function mount(parent) {
  const view = {
    rows: parent.querySelector(".rows"),
    play: parent.querySelector("button"),
    slider: parent.querySelector("input"),
    label: parent.querySelector("output"),
    timer: null,
    index: 0,
  }
  view.play.onclick = () => (view.timer ? stop(view) : start(view))
  view.slider.oninput = () => {
    stop(view)
    view.index = Number(view.slider.value)
    show(view)
  }
  return view
}

function build(view) {
  view.rows.replaceChildren()
  view.slider.max = view.data.labels.length - 1
  view.slider.setAttribute("aria-label", view.data.noun)
  for (const row of view.data.rows) {
    const title = document.createElement("div")
    title.className = "title"
    title.textContent = row.title
    const frames = document.createElement("div")
    frames.className = "frames"
    row.frames.forEach((source, index) => {
      const image = document.createElement("img")
      image.src = source
      image.alt = `${row.title}, ${view.data.labels[index]}`
      image.onclick = () => {
        stop(view)
        view.index = index
        show(view)
      }
      frames.append(image)
    })
    view.rows.append(title, frames)
  }
}

function start(view) {
  view.timer = setInterval(() => {
    view.index = (view.index + 1) % view.data.labels.length
    show(view)
  }, 700)
  show(view)
}

function stop(view) {
  clearInterval(view.timer)
  view.timer = null
  show(view)
}

function show(view) {
  view.play.textContent = view.timer ? "❚❚ Pause" : "▶ Play"
  view.slider.value = view.index
  view.label.textContent = view.data.labels[view.index]
  for (const frames of view.rows.querySelectorAll(".frames")) {
    ;[...frames.children].forEach((image, index) => image.classList.toggle("current", index === view.index))
    // On a narrow screen the strip is wider than the page: keep the current frame in sight.
    const current = frames.children[view.index]
    frames.scrollLeft = current.offsetLeft - frames.offsetLeft - (frames.clientWidth - current.clientWidth) / 2
  }
}
