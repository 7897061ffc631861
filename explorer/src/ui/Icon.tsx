// The icons of buttons, as strokes on a grid of 16.

const PATHS = {
  pan: "M8 1.5v13M1.5 8h13M6 3.5l2-2 2 2M6 12.5l2 2 2-2M3.5 6l-2 2 2 2M12.5 6l2 2-2 2",
  lasso: "M8 2.5c3.6 0 6.2 1.7 6.2 4s-2.6 4-6.2 4-6.2-1.7-6.2-4 2.600-4 6.200-4M4.500 10c-1 .8-1 2.200.3 2.400s1.500 1.300.7 2.200",
  plus: "M8 3v10M3 8h10",
  minus: "M3 8h10",
  whole: "M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4",
  sun: "M8 5a3 3 0 100 6 3 3 0 000-6zM8 1v1.500M8 13.500V15M1 8h1.500M13.500 8H15M3 3l1 1M12 12l1 1M3 13l1-1M12 4l1-1",
  moon: "M13.500 9.800A6 6 0 016.200 2.500a6 6 0 107.300 7.300z",
  download: "M8 2v8M5 7l3 3 3-3M2.500 13.500h11",
};

export function Icon({ name }: { name: keyof typeof PATHS }) {
  return (
    <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round">
      <path d={PATHS[name]} />
    </svg>
  );
}
