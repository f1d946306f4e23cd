// Light or dark: as the system has it, until a person says otherwise. Loaded first, so that nothing flashes.
const KEY = "hashwright-theme";
const choose = (theme) => {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
};
choose(localStorage.getItem(KEY));

globalThis.switchTheme = () => {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const theme = dark ? "light" : "dark";
  localStorage.setItem(KEY, theme);
  choose(theme);
};
