// Random numbers that a seed decides, the same in every browser.

// A stream of uniform numbers in [0, 1). Streams with different names are independent,
// so that another depth, say, leaves the data and their order as they are.
// The generator is sfc32 of Chris Doty-Humphrey's PractRand, public domain.
export function uniformStream(seed, name) {
  let a = hash(`${name}:${seed}:a`);
  let b = hash(`${name}:${seed}:b`);
  let c = hash(`${name}:${seed}:c`);
  let counter = 1;
  const next = () => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    c |= 0;
    return (sum >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < 16; i++) next(); // so that similar seeds part ways
  return next;
}

// FNV-1a, 32 bits.
function hash(text) {
  let value = 0x811c9dc5;
  for (const char of text) {
    value = Math.imul(value ^ char.codePointAt(0), 0x01000193);
  }
  return value | 0;
}

// Standard normal numbers, by Box and Muller.
export function normalStream(seed, name) {
  const uniform = uniformStream(seed, name);
  return () => {
    const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
    return radius * Math.cos(2 * Math.PI * uniform());
  };
}

// Shuffles an array in place, by Fisher and Yates.
export function shuffle(array, uniform) {
  for (let last = array.length - 1; last > 0; last--) {
    const other = Math.floor(uniform() * (last + 1));
    [array[last], array[other]] = [array[other], array[last]];
  }
  return array;
}
