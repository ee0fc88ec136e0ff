// Tells which controls, and which focus rings, stand less than 3:1 off what is around them
// (WCAG 2.2, 1.4.11 and 2.4.7).  axe looks at words only.

() => {
  const LEAST = 3;
  const faults = [];

  const colour = (text) => {
    const parts = text.match(/^rgba?\(([\d.]+), ([\d.]+), ([\d.]+)(?:, ([\d.]+))?\)$/);
    if (!parts) throw new Error(`a colour that this check cannot read: ${text}`);
    return [...parts.slice(1, 4).map(Number), parts[4] === undefined ? 1 : Number(parts[4])];
  };
  const over = (above, below) =>
    above.slice(0, 3).map((part, i) => part * above[3] + below[i] * (1 - above[3]));
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.push(getComputedStyle(at));
    return layers.reverse().reduce(
      (below, style) => over(colour(style.backgroundColor), below),
      [255, 255, 255],
    );
  };
  const light = (parts) => {
    const [r, g, b] = parts
      .map((part) => part / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [darker, lighter] = [light(one), light(other)].sort((a, b) => a - b);
    return (lighter + 0.05) / (darker + 0.05);
  };
  const named = (element) =>
    `<${element.tagName.toLowerCase()}${element.id ? ` id=${element.id}` : ""}${element.name ? ` name=${element.name}` : ""}>` +
    ` “${(element.innerText || element.value || "").trim().slice(0, 30)}”`;
  const tell = (element, what, found) => faults.push(`${named(element)}: ${what} is ${found}`);

  const visible = (element) => element.checkVisibility({ visibilityProperty: true });
  const controls = document.querySelectorAll(
    "input:not([type=hidden]), select, textarea, button, [role=button]",
  );
  for (const element of controls) {
    if (!visible(element) || element.disabled) continue;
    const style = getComputedStyle(element);
    const around = behind(element.parentElement);
    const inside = over(colour(style.backgroundColor), around);
    const edges = ["top", "right", "bottom", "left"]
      .filter((side) => parseFloat(style[`border-${side}-width`]) >= 1)
      .map((side) => over(colour(style[`border-${side}-color`]), around))
      .map((edge) => contrast(edge, around));
    const best = Math.max(contrast(inside, around), edges.length ? Math.min(...edges) : 1);
    // Underlined words with nothing around them look like a link, and are told by their words.
    const bare = best === 1 && style.textDecorationLine === "underline";
    if (best < LEAST && !bare) tell(element, "its edge, against what is around it,", best.toFixed(2));
  }

  const reached = document.querySelectorAll(
    "a[href], input:not([type=hidden]), select, textarea, button, summary, [tabindex='0']",
  );
  for (const element of reached) {
    if (!visible(element) || element.disabled) continue;
    element.focus({ focusVisible: true });
    const style = getComputedStyle(element);
    if (document.activeElement !== element || !element.matches(":focus-visible")) {
      tell(element, "its focus", "not shown");
    } else if (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 2) {
      tell(element, "its focus ring", `${style.outlineStyle} ${style.outlineWidth}`);
    } else {
      const on = parseFloat(style.outlineOffset) < 0 ? element : element.parentElement;
      const found = contrast(over(colour(style.outlineColor), behind(on)), behind(on));
      if (found < LEAST) tell(element, "its focus ring", found.toFixed(2));
    }
  }
  document.activeElement.blur();
  scrollTo(0, 0);
  return faults;
};
