// Light or dark: as the system has it, until a person says otherwise. Loaded first, so that nothing flashes. Gives the
// other files `kept`: what this browser remembers, or for as long as the page is open where it may not remember.
globalThis.kept = {
  memory: new Map(),
  get(key) {
    try {
      return localStorage.getItem(key);
    } catch {
      return this.memory.get(key) ?? null;
    }
  },
  set(key, value) {
    this.memory.set(key, value);
    try {
      if (value === null) localStorage.removeItem(key);
      else localStorage.setItem(key, value);
    } catch {
      // Then it is only known until the page is closed.
    }
  },
};

{
  const KEY = "hashwright-theme";
  const root = document.documentElement;
  const choose = (theme) => {
    if (theme) root.dataset.theme = theme;
  };
  choose(kept.get(KEY));
  globalThis.switchTheme = () => {
    const dark = (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
    kept.set(KEY, dark ? "light" : "dark");
    choose(dark ? "light" : "dark");
  };
}
