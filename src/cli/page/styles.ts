/** The page's look, dark and light. */
export const styles = `
:root { color-scheme: light; --back: #ffffff; --panel: #f6f8fa; --text: #1f2328; --dim: #656d76; --line: #d8dee4; --accent: #0969da; --chosen: #ddf4ff; --lit: #fff1b8; --bad: #cf222e; --shadow: #8c959f44;
  --c0: #cfe8ff; --c1: #d9f2d9; --c2: #ffe9c7; --c3: #f3dcf7; --c4: #d5f1ef; --c5: #ffdcd8; --c6: #e6e2ff; --c7: #edf0c8; }
@media (prefers-color-scheme: dark) { :root:not([data-theme="light"]) { color-scheme: dark; --back: #0d1117; --panel: #161b22; --text: #e6edf3; --dim: #8b949e; --line: #30363d; --accent: #58a6ff; --chosen: #12283f; --lit: #4a3c0c; --bad: #ff7b72; --shadow: #01040988;
  --c0: #123a5e; --c1: #174226; --c2: #55380d; --c3: #47204f; --c4: #0d4340; --c5: #5b2420; --c6: #322a66; --c7: #434711; } }
:root[data-theme="dark"] { color-scheme: dark; --back: #0d1117; --panel: #161b22; --text: #e6edf3; --dim: #8b949e; --line: #30363d; --accent: #58a6ff; --chosen: #12283f; --lit: #4a3c0c; --bad: #ff7b72; --shadow: #01040988;
  --c0: #123a5e; --c1: #174226; --c2: #55380d; --c3: #47204f; --c4: #0d4340; --c5: #5b2420; --c6: #322a66; --c7: #434711; }
* { box-sizing: border-box; margin: 0; }
[hidden] { display: none !important; }
html, body { height: 100%; overflow: hidden; }
body { display: grid; grid: 40px 1fr / minmax(200px, 290px) 1fr; background: var(--back); color: var(--text); font: 13px/1.45 system-ui, sans-serif; }
header { grid-column: 1 / -1; display: flex; align-items: center; gap: 12px; padding: 0 14px; background: var(--panel); border-bottom: 1px solid var(--line); }
header strong { font-size: 14px; letter-spacing: .2px; }
.status { flex: 1; color: var(--dim); }
.status::before { content: "●"; color: #2da44e; margin-right: 6px; }
.closed .status::before { color: var(--bad); }
.closed main { opacity: .55; }
aside { display: flex; flex-direction: column; min-height: 0; border-right: 1px solid var(--line); background: var(--panel); }
aside .search { margin: 10px 10px 8px; }
aside .remark { padding: 6px 12px; border-top: 1px solid var(--line); }
main { position: relative; display: flex; flex-direction: column; min-width: 0; min-height: 0; }
h1 { font-size: 17px; font-weight: 600; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.about { padding: 12px 16px 8px; }
.remark, .dim { color: var(--dim); font-variant-numeric: tabular-nums; }
.bad { color: var(--bad); }
button, input { font: inherit; color: inherit; }
button { padding: 3px 10px; border: 1px solid var(--line); border-radius: 6px; background: var(--back); cursor: pointer; }
button:hover { border-color: var(--accent); }
button.on { border-color: var(--accent); color: var(--accent); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: -1px; }
.tabs { display: flex; gap: 2px; padding: 0 12px; border-bottom: 1px solid var(--line); }
.tabs button { border: 0; border-radius: 0; border-bottom: 2px solid transparent; background: none; padding: 6px 10px; color: var(--dim); }
.tabs button.on { color: var(--text); border-color: var(--accent); font-weight: 600; }
.place { flex: 1; min-height: 0; display: flex; }
.view { flex: 1; min-width: 0; min-height: 0; display: flex; flex-direction: column; }
.view > .remark { padding: 8px 16px; }
.search { padding: 4px 10px; border: 1px solid var(--line); border-radius: 6px; background: var(--back); }
.view > .search { margin: 8px 16px; max-width: 340px; }
.list { flex: 1; min-height: 0; overflow: auto; position: relative; overflow-anchor: none; }
.space { position: relative; min-height: 1px; }
.line { position: absolute; top: 0; left: 0; right: 0; white-space: nowrap; overflow: hidden; }
.line > span { overflow: hidden; text-overflow: ellipsis; }
.segments .line { height: 46px; display: grid; grid: 22px 18px / 26px 1fr auto; column-gap: 8px; padding: 3px 12px; cursor: pointer; align-items: center; }
.segments .line:hover { background: color-mix(in srgb, var(--chosen) 50%, transparent); }
.segments .line.selected { background: var(--chosen); box-shadow: inset 3px 0 var(--accent); }
.badge { grid-row: 1 / 3; width: 24px; height: 24px; border-radius: 6px; text-align: center; line-height: 24px; font-weight: 600; font-size: 11px; background: var(--line); }
.badge.record { background: var(--c0); } .badge.document { background: var(--c1); } .badge.channel { background: var(--c2); } .badge.queue { background: var(--c3); }
.segments .name { font-weight: 500; }
.segments .about { grid-column: 2 / 4; padding: 0; color: var(--dim); font-size: 12px; }
.state { color: var(--dim); font-size: 11px; }
.tree, .members, .bytes, .table, .head, .json, .edit { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 12.5px; }
.tree .line { height: 24px; line-height: 24px; display: flex; gap: 10px; padding-right: 16px; contain: strict; }
.tree .line:hover, .table .line:hover { background: var(--panel); }
.tree .line.selected { background: var(--chosen); }
.mark { flex: 0 0 16px; text-align: center; color: var(--dim); cursor: pointer; }
.plot-mark { opacity: .35; } .line:hover .plot-mark { opacity: 1; } .plot-mark.on { opacity: 1; color: var(--accent); font-weight: 700; }
.tree .name { flex: 0 0 auto; font-weight: 500; }
.tree .type { flex: 0 0 12em; color: var(--dim); }
.tree .value { flex: 0 1 auto; min-width: 12em; border-radius: 4px; padding: 0 6px; transition: background 0.4s; }
.lit { background: var(--lit); transition: none !important; }
.number { font-variant-numeric: tabular-nums; }
.edit { width: 320px; height: 22px; padding: 0 5px; border: 1px solid var(--accent); border-radius: 4px; background: var(--back); }
.edit.bad { border-color: var(--bad); outline-color: var(--bad); }
.side { flex-direction: row; }
.members { flex: 1 1 40%; border-right: 1px solid var(--line); }
.members .line { height: 24px; line-height: 24px; display: grid; grid-template-columns: 3.4em 2.6em minmax(9em, 1.5fr) minmax(5em, 1fr) minmax(5em, 1fr); gap: 10px; padding: 0 8px 0 0; border-left: 8px solid transparent; }
.members .offset, .members .size { text-align: right; color: var(--dim); }
.members .type { color: var(--dim); }
.members .hole { font-style: italic; color: var(--dim); background: repeating-linear-gradient(135deg, transparent 0 5px, var(--panel) 5px 10px); }
.cache-line { border-top: 1px dashed var(--dim); }
.bytes { flex: 0 0 540px; padding-left: 6px; }
.bytes .line { height: 22px; line-height: 22px; display: flex; padding-left: 8px; }
.bytes b { width: 4.4em; font-weight: 400; color: var(--dim); }
.bytes .line > span { width: 20.5px; text-align: center; flex: none; }
.bytes i { margin-left: 12px; font-style: normal; color: var(--dim); white-space: pre; }
.bytes .hole { color: var(--dim); opacity: .6; }
.bytes span.c0 { background: var(--c0); } .bytes span.c1 { background: var(--c1); } .bytes span.c2 { background: var(--c2); } .bytes span.c3 { background: var(--c3); }
.bytes span.c4 { background: var(--c4); } .bytes span.c5 { background: var(--c5); } .bytes span.c6 { background: var(--c6); } .bytes span.c7 { background: var(--c7); }
.members .c0 { border-left-color: var(--c0); } .members .c1 { border-left-color: var(--c1); } .members .c2 { border-left-color: var(--c2); } .members .c3 { border-left-color: var(--c3); }
.members .c4 { border-left-color: var(--c4); } .members .c5 { border-left-color: var(--c5); } .members .c6 { border-left-color: var(--c6); } .members .c7 { border-left-color: var(--c7); }
.members .selected { background: var(--chosen); }
.bytes .selected { outline: 1.5px solid var(--accent); outline-offset: -1.5px; }
.table .line, .head { height: 24px; line-height: 24px; display: grid; grid-template-columns: var(--columns); gap: 14px; padding: 0 16px; }
.messages .line { grid-template-columns: 6em 8em 6em 6em 1fr; }
.messages .missed span:nth-child(4) { color: var(--bad); }
.head { color: var(--dim); border-bottom: 1px solid var(--line); }
.head span { overflow: hidden; text-overflow: ellipsis; }
.json .line { height: 20px; line-height: 20px; padding: 0 16px; white-space: pre; }
.json .line > span:first-child { color: var(--accent); }
.bar { display: flex; gap: 6px; align-items: center; padding: 6px 16px; } .bar:empty { display: none; }
.plot { flex: 0 0 250px; min-height: 0; display: flex; flex-direction: column; border-top: 1px solid var(--line); background: var(--back); }
.plot-body { flex: 1; min-height: 0; display: flex; padding-bottom: 8px; }
.plot canvas { flex: 1; min-width: 0; width: 100%; height: 100%; }
.legend { flex: 0 0 260px; overflow: auto; padding: 0 12px; }
.legend div { display: flex; gap: 8px; align-items: center; height: 24px; }
.legend i { flex: 0 0 12px; height: 3px; border-radius: 2px; }
.legend .name { flex: 1; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.legend .value { font-variant-numeric: tabular-nums; }
.legend button { border: 0; padding: 0 6px; background: none; color: var(--dim); }
.said { position: absolute; right: 16px; bottom: 16px; max-width: 60%; padding: 10px 14px; border: 1px solid var(--line); border-radius: 8px; background: var(--panel); box-shadow: 0 4px 16px var(--shadow); white-space: pre-line; }
@media (max-width: 900px) { .bytes { flex-basis: 45%; } .tree .type { flex-basis: 8em; } }
`;
