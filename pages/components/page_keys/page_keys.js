// Keys of every page: "?" lists them, "p" presents. Listens on the document, once, however often the page is run.
const STYLE = "vitrine-presenting"
const KEPT = "vitrine-presenting"
let dialog = null

export default function (component) {
  const { parentElement } = component
  dialog = parentElement.querySelector("dialog")
  parentElement.querySelector(".keys").onclick = () => open()
  parentElement.querySelector(".present").onclick = () => {
    dialog.close()
    present(!presenting())
  }
  parentElement.querySelector(".close").onclick = () => dialog.close()
  if (document.getElementById(STYLE)) return
  const style = document.createElement("style")
  style.id = STYLE
  style.textContent = component.data.style
  document.head.append(style)
  document.addEventListener("keydown", pressed)
  document.addEventListener("fullscreenchange", () => {
    if (!document.fullscreenElement && presenting()) present(false)
  })
  if (sessionStorage.getItem(KEPT)) document.documentElement.classList.add("presenting")
  makeReady(component.data.made_ready)
}

function open() {
  if (!dialog.open) dialog.showModal()
}

function presenting() {
  return document.documentElement.classList.contains("presenting")
}

function present(wanted) {
  document.documentElement.classList.toggle("presenting", wanted)
  if (wanted) sessionStorage.setItem(KEPT, "1")
  else sessionStorage.removeItem(KEPT)
  // A browser may refuse to fill the screen; the page is large all the same.
  if (wanted) document.documentElement.requestFullscreen?.().catch(() => {})
  else if (document.fullscreenElement) document.exitFullscreen()
  window.dispatchEvent(new Event("resize"))
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || writes(event)) return
  if (event.key === "?") {
    event.preventDefault()
    open()
  } else if (event.key === "p" || event.key === "P") {
    event.preventDefault()
    present(!presenting())
  } else if (event.key === "Escape" && presenting() && !dialog?.open) present(false)
}

// Whether the key belongs to something that takes text; what lies in a shadow tree is asked itself.
function writes(event) {
  const target = event.composedPath()[0]
  return target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName) && target.type !== "range"
}
