-- Neovim 0.11 and later find this file on 'runtimepath': `vim.lsp.enable('octod')` is all that is left to do.
return {
  cmd = { 'octod', 'lsp' },
  filetypes = { 'python' },
  root_markers = { 'pyproject.toml', 'setup.py', 'setup.cfg', '.venv', '.git' },
}
