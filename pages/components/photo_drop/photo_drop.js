// Photos that are dropped anywhere on the page or pasted into it are sent as they are; the server decodes them.

export default function (component) {
  const { data } = component
  const view = viewOf(component, mount)
  view.send = component.setTriggerValue
  view.most = data.most
  view.mostBytes = data.mostBytes
  view.said.textContent = data.text
  if (view.pending?.id === data.taken) view.pending = null
}

function mount(parent) {
  const view = { veil: parent.querySelector(".veil"), said: parent.querySelector(".veil span"), leaving: 0 }
  // Out of the flow: it has nothing to show until something is dragged over the page.
  const frame = parent.host.closest('[data-testid="stElementContainer"]') ?? parent.host
  Object.assign(frame.style, { position: "absolute", width: "0", height: "0", minHeight: "0", overflow: "visible" })
  const listen = (name, handle) => {
    const guarded = (event) => {
      // The page has changed: another one listens now.
      if (!parent.isConnected) return document.removeEventListener(name, guarded)
      handle(view, event)
    }
    document.addEventListener(name, guarded)
  }
  listen("dragover", over)
  listen("dragleave", (each) => (each.leaving = setTimeout(() => (each.veil.hidden = true), 120)))
  listen("drop", dropped)
  listen("paste", pasted)
  return view
}

function over(view, event) {
  if (!carriesFiles(event) || isTaken(event)) return
  event.preventDefault()
  event.dataTransfer.dropEffect = "copy"
  clearTimeout(view.leaving)
  view.veil.hidden = false
}

function dropped(view, event) {
  view.veil.hidden = true
  if (!carriesFiles(event) || isTaken(event)) return
  event.preventDefault()
  sendFiles(view, [...event.dataTransfer.files])
}

function pasted(view, event) {
  const files = [...(event.clipboardData?.files ?? [])].filter((file) => file.type.startsWith("image/"))
  if (!files.length) return
  event.preventDefault()
  // What is copied out of a program has no name of its own.
  sendFiles(view, files, (file) => (file.name === "image.png" ? "Pasted picture" : file.name))
}

const carriesFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files")

// The uploaders of the page take what is dropped on them.
const isTaken = (event) =>
  event.composedPath().some((each) => each.dataset?.testid === "stFileUploaderDropzone")

async function sendFiles(view, files, nameOf = (file) => file.name) {
  const photos = []
  for (const file of files.slice(0, view.most)) {
    const content = file.size > view.mostBytes ? null : await read(file)
    photos.push({ name: nameOf(file), bytes: file.size, content })
  }
  view.pending = { id: crypto.getRandomValues(new Uint32Array(2)).join("-"), photos }
  deliver(view, 10)
}

// A run of the script that another one cuts short takes what was sent along: it is sent again until the server says
// that it has it.
function deliver(view, times) {
  const { pending } = view
  if (!pending || times === 0) return
  const idle = document.querySelector('[data-testid="stApp"]')?.dataset.testScriptState === "notRunning"
  if (idle || times === 10) view.send("photos", pending)
  setTimeout(() => view.pending === pending && deliver(view, times - 1), 1500)
}

const read = (file) =>
  new Promise((resolve) => {
    const reader = new FileReader()
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1))
    reader.onerror = () => resolve("")
    reader.readAsDataURL(file)
  })
