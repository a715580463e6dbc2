// Sizes as the server writes them: WIDTHxHEIGHT.

/** [width, height] → "56x28". */
export function sizeText([width, height]) {
  return `${width}x${height}`;
}

/** "56x28" → [56, 28], or null. */
export function sizeFrom(text) {
  const found = /^(\d+)x(\d+)$/.exec(text ?? "");
  return found && [Number(found[1]), Number(found[2])];
}

/** Sizes to offer for a model: as in training, twice as wide, twice as high, and both, as far as the server goes. */
export function usualSizes({ train_size: [w, h], fixed_size: fixed, max_size: [maxWidth, maxHeight] }) {
  if (fixed) return [fixed];
  const longest = Math.max(maxWidth, maxHeight);
  return [[w, h], [2 * w, h], [w, 2 * h], [2 * w, 2 * h]].filter(
    ([width, height]) => Math.max(width, height) <= longest && width * height <= maxWidth * maxHeight,
  );
}
