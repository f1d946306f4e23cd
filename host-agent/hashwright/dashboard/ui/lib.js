// What every module of the page draws with. Text always becomes a text node: nothing here can set markup.
import { Component, h, render } from "./vendor/preact.js";
import htm from "./vendor/htm.js";

export const html = htm.bind(h);
export { render };
export { useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/hooks.js";

/** Draws only when one of the properties is another value. */
export function memo(component) {
  return class extends Component {
    shouldComponentUpdate(next) {
      const now = this.props;
      const names = Object.keys(next);
      return names.length !== Object.keys(now).length || names.some((name) => next[name] !== now[name]);
    }
    render(props) {
      return component(props);
    }
  };
}
/** The names that are not empty, as the value of a class attribute. */
export const names = (...list) => list.filter(Boolean).join(" ");
