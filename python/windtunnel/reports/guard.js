"use strict";
// Before anything else: if a picture cannot be drawn the reader must learn of it.
window.reportErrors = [];
const complain = (text) => {
  window.reportErrors.push(text);
  document.documentElement.dataset.errors = window.reportErrors.join(" | ");
};
window.addEventListener("error", (event) => complain(event.message));
window.addEventListener("unhandledrejection", (event) => complain(String(event.reason)));
document.addEventListener("securitypolicyviolation", (event) =>
  complain("blocked: " + event.violatedDirective + " " + event.blockedURI));
