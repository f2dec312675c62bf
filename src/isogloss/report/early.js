// Runs before the page is drawn, so that a chosen theme does not flash.
document.documentElement.classList.add("js");
try {
  const chosen = localStorage.getItem("isogloss-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch { /* Some browsers keep no memory for files. */ }
