/** What the browser loads. */

export const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>shmstruct</title>
<link rel="icon" href="icon.svg">
<link rel="stylesheet" href="page.css">
<script type="module" src="page.js"></script>
</head>
<body><noscript>This page needs JavaScript.</noscript></body>
</html>
`;

export const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#1f6feb"/><path d="M3 4h4v3H3zM9 4h4v3H9zM3 9h2v3H3zM7 9h6v3H7z" fill="#fff"/></svg>`;

/** The build puts the compiled code in the place of this address; from the sources it is compiled when it is first asked for. */
const client: URL | string = new URL("./client/main.ts", import.meta.url);
let code: Promise<string> | undefined;

/** The code of the page. */
export function clientCode(): Promise<string> {
  code ??= load(String(client));
  return code;
}

async function load(address: string): Promise<string> {
  if (address.startsWith("blob:")) return (await fetch(address)).text();
  const { outputs } = await Bun.build({ entrypoints: [Bun.fileURLToPath(address)], target: "browser" });
  return outputs[0]!.text();
}
