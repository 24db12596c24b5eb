// octod for VS Code: starts `octod lsp` for Python files. The language client registers the menu, hover, signature
// help and inline completion (ghost text) from what the server offers.
const vscode = require('vscode');
const { LanguageClient } = require('vscode-languageclient/node');

let client;

// The interpreter to look at: the setting, else the one chosen in the Python extension, else octod decides.
async function interpreter() {
  const chosen = vscode.workspace.getConfiguration('octod').get('python');
  if (chosen) return chosen;
  const python = vscode.extensions.getExtension('ms-python.python');
  if (!python) return undefined;
  const api = await python.activate();
  return api?.environments?.getActiveEnvironmentPath()?.path;
}

async function activate(context) {
  const command = vscode.workspace.getConfiguration('octod').get('command');
  const python = await interpreter().catch(() => undefined);
  client = new LanguageClient(
    'octod',
    'octod',
    { command, args: ['lsp'] },
    {
      documentSelector: ['file', 'untitled', 'vscode-notebook-cell'].map((scheme) => ({ language: 'python', scheme })),
      initializationOptions: python ? { python } : {},
      synchronize: { configurationSection: 'octod' },
    },
  );
  context.subscriptions.push({ dispose: () => client.stop() });
  try {
    await client.start();
  } catch (error) {
    vscode.window.showErrorMessage(`octod did not start: ${error.message}. Is \`${command}\` installed? See octod.command.`);
  }
}

module.exports = { activate, deactivate: () => client?.stop() };
