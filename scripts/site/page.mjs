// deno-lint-ignore-file explicit-module-boundary-types -- node reads it, which knows no types
/**
 * What a page of TypeDoc lacks for who reads it by keyboard, by ear, or on a narrow screen.
 */

/** Each piece is on every page, so that a new TypeDoc that has it no more is noticed. */
const ON_EVERY_PAGE = [
  // The first stop of the keyboard, and a landmark to go to.
  [/<body>/, '<body><a href="#content" class="skip">Skip to the content</a>'],
  [/<div class="col-content">/, '<main class="col-content" id="content" tabindex="-1">'],
  [/<\/div>\s*<div class="col-sidebar">/, '</main><div class="col-sidebar">'],
  [/<div class="page-menu">/, '<aside class="page-menu" aria-label="This page">'],
  [/<\/div>\s*<div class="site-menu">/, '</aside><div class="site-menu">'],
  // It opens a menu: a button.
  [/<a href="#" class="tsd-widget menu"/, '<a href="#" role="button" class="tsd-widget menu"'],
  // site.js lists the versions there.
  [/<div id="tsd-toolbar-links">/, '<nav id="versions" aria-label="Versions"></nav>$&'],
  [
    /(<script defer src="([^"]*)assets\/custom\.js">)/,
    '<script defer src="$2assets/versions.js"></script>$1',
  ],
];

const WHERE_THERE_IS_SOME = [
  // A wide table scrolls within itself, and stays a table for a screen reader.
  [/<table>/g, '<div class="table"><table>'],
  [/<\/table>/g, "</table></div>"],
  // A cell without a word is no heading.
  [/<th( style="[^"]*")?><\/th>/g, "<td></td>"],
  // A summary is a button: nothing within it can be chosen by itself.
  [
    /(<summary\b(?:(?!<\/summary>)[^])*?)<a href="#[^"]*" aria-label="Permalink"(?:(?!<\/a>)[^])*<\/a>/g,
    "$1",
  ],
];

/** A page with what it lacks. Throws when TypeDoc has changed what is looked for. */
export function accessible(html) {
  let page = html;
  for (const [pattern, replacement] of ON_EVERY_PAGE) {
    if (!pattern.test(page)) throw new Error(`No ${pattern} in a page of TypeDoc`);
    page = page.replace(pattern, replacement);
  }
  for (const [pattern, replacement] of WHERE_THERE_IS_SOME) {
    page = page.replace(pattern, replacement);
  }
  return page;
}
