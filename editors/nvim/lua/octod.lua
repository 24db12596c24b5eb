-- octod for Neovim 0.7 and later: starts `octod lsp` for Python files, opens the menu after a dot,
-- and shows the arguments that octod would write as ghost text (an extmark after the cursor).
--
--   require('octod').setup()                                     -- everything below is the default
--   require('octod').setup({ cmd = { 'octod', 'lsp' }, python = nil, accept = '<C-l>', menu = true })
--
-- Neovim 0.12 has inline completion of its own; see README.md, it needs this file only for the menu's taste.

local M = {}

local METHOD = 'textDocument/inlineCompletion'
-- Milliseconds without a key before ghost text is asked for: under the pause between two words, over a key repeat.
local PAUSE = 60

M.namespace = vim.api.nvim_create_namespace('octod')
M.options = { cmd = { 'octod', 'lsp' }, python = nil, accept = '<C-l>', menu = true }
M.clients = {} -- root folder -> client id
M.shown = {} -- buffer -> { row, col, start, text } of the ghost text that is on the screen

local timer = vim.loop.new_timer()

local function client_of(buffer)
  local clients = vim.lsp.get_clients and vim.lsp.get_clients({ bufnr = buffer }) or vim.lsp.buf_get_clients(buffer)
  for _, client in pairs(clients) do
    if client.name == 'octod' then
      return client
    end
  end
end

local function root_of(buffer)
  local folder = vim.fn.fnamemodify(vim.api.nvim_buf_get_name(buffer), ':p:h')
  local start = folder
  while true do
    for _, marker in ipairs({ 'pyproject.toml', 'setup.py', 'setup.cfg', '.venv', '.git' }) do
      if vim.loop.fs_stat(folder .. '/' .. marker) then
        return folder
      end
    end
    local parent = vim.fn.fnamemodify(folder, ':h')
    if parent == folder then
      return start
    end
    folder = parent
  end
end

-- The part of `text` that is not on the line yet: the answer replaces the line from `start` (bytes) to the cursor.
local function rest_of(text, line, start, col)
  local typed = line:sub(start + 1, col)
  if text:sub(1, #typed) == typed then
    return text:sub(#typed + 1)
  end
end

function M.clear(buffer)
  buffer = buffer or vim.api.nvim_get_current_buf()
  M.shown[buffer] = nil
  vim.api.nvim_buf_clear_namespace(buffer, M.namespace, 0, -1)
end

function M.show(buffer, row, col, item, encoding)
  local line = vim.api.nvim_buf_get_lines(buffer, row, row + 1, false)[1] or ''
  local text = type(item.insertText) == 'table' and item.insertText.value or item.insertText
  local start = col
  if item.range then
    start = vim.lsp.util._get_line_byte_from_position(buffer, item.range.start, encoding)
  end
  local rest = rest_of(text, line, start, col)
  if not rest or rest == '' or rest:find('\n') then
    return
  end
  -- 0.10 can put text between characters; before that it is laid over them, so only at the line's end.
  local inline = vim.fn.has('nvim-0.10') == 1
  if not inline and col < #line then
    return
  end
  vim.api.nvim_buf_set_extmark(buffer, M.namespace, row, col, {
    virt_text = { { rest, 'Comment' } },
    virt_text_pos = inline and 'inline' or 'overlay',
    hl_mode = 'combine',
  })
  M.shown[buffer] = { row = row, col = col, text = rest }
end

function M.ask()
  local buffer = vim.api.nvim_get_current_buf()
  local client = client_of(buffer)
  if not client or vim.api.nvim_get_mode().mode:sub(1, 1) ~= 'i' then
    return
  end
  local window = vim.api.nvim_get_current_win()
  local cursor = vim.api.nvim_win_get_cursor(window)
  local tick = vim.api.nvim_buf_get_changedtick(buffer)
  local params = vim.lsp.util.make_position_params(window, client.offset_encoding)
  params.context = { triggerKind = 2 } -- 2: automatic, as Language Server Protocol 3.18 counts them
  local chosen = vim.fn.complete_info({ 'selected', 'items' })
  if chosen.selected and chosen.selected >= 0 then
    local word = chosen.items[chosen.selected + 1].word
    local line = vim.api.nvim_get_current_line()
    local start = cursor[2] - #(line:sub(1, cursor[2]):match('[%w_]*$') or '')
    local at = vim.deepcopy(params.position)
    at.character = vim.str_utfindex(line, start)
    params.context.selectedCompletionInfo = { text = word, range = { start = at, ['end'] = params.position } }
  end
  client.request(METHOD, params, function(problem, answer)
    local now = vim.api.nvim_get_current_buf() == buffer and vim.api.nvim_win_get_cursor(0)
    local late = not now or now[1] ~= cursor[1] or now[2] ~= cursor[2]
    if problem or not answer or late or tick ~= vim.api.nvim_buf_get_changedtick(buffer) then
      return
    end
    local items = answer.items or answer
    M.clear(buffer)
    if items[1] then
      M.show(buffer, cursor[1] - 1, cursor[2], items[1], client.offset_encoding)
    end
  end, buffer)
end

-- Put the ghost text into the file; with none on the screen, do what the key did before.
function M.accept()
  local buffer = vim.api.nvim_get_current_buf()
  local ghost = M.shown[buffer]
  if not ghost then
    return vim.api.nvim_feedkeys(vim.api.nvim_replace_termcodes(M.options.accept, true, false, true), 'n', false)
  end
  M.clear(buffer)
  vim.api.nvim_buf_set_text(buffer, ghost.row, ghost.col, ghost.row, ghost.col, { ghost.text })
  vim.api.nvim_win_set_cursor(0, { ghost.row + 1, ghost.col + #ghost.text })
end

function M.attach(buffer)
  vim.api.nvim_buf_set_option(buffer, 'omnifunc', 'v:lua.vim.lsp.omnifunc')
  local group = vim.api.nvim_create_augroup('octod-' .. buffer, { clear = true })
  vim.api.nvim_create_autocmd({ 'TextChangedI', 'TextChangedP', 'CursorMovedI' }, {
    group = group,
    buffer = buffer,
    callback = function()
      local ghost, cursor = M.shown[buffer], vim.api.nvim_win_get_cursor(0)
      if ghost and (ghost.row ~= cursor[1] - 1 or ghost.col ~= cursor[2]) then
        M.clear(buffer)
      end
      timer:stop()
      timer:start(PAUSE, 0, vim.schedule_wrap(M.ask))
    end,
  })
  vim.api.nvim_create_autocmd('InsertLeave', { group = group, buffer = buffer, callback = function() M.clear(buffer) end })
  if M.options.menu then
    vim.api.nvim_create_autocmd('TextChangedI', {
      group = group,
      buffer = buffer,
      callback = function()
        local before = vim.api.nvim_get_current_line():sub(1, vim.api.nvim_win_get_cursor(0)[2])
        if before:match('[%w_%)%]"\']%.$') and client_of(buffer) then
          vim.api.nvim_feedkeys(vim.api.nvim_replace_termcodes('<C-x><C-o>', true, false, true), 'n', false)
        end
      end,
    })
  end
  vim.keymap.set('i', M.options.accept, M.accept, { buffer = buffer, desc = 'octod: take the ghost text' })
end

function M.start(buffer)
  local root = root_of(buffer)
  local id = M.clients[root]
  if not id or not vim.lsp.get_client_by_id(id) then
    local capabilities = vim.lsp.protocol.make_client_capabilities()
    capabilities.textDocument.inlineCompletion = { dynamicRegistration = false }
    id = vim.lsp.start_client({
      name = 'octod',
      cmd = M.options.cmd,
      root_dir = root,
      capabilities = capabilities,
      workspace_folders = { { uri = vim.uri_from_fname(root), name = root } },
      init_options = M.options.python and { python = M.options.python } or nil,
      handlers = {
        -- Which adapters serve this file: one quiet line, not a window.
        ['window/logMessage'] = function() end,
      },
    })
    M.clients[root] = id
  end
  if id and vim.lsp.buf_attach_client(buffer, id) then
    M.attach(buffer)
  end
end

function M.setup(options)
  M.options = vim.tbl_extend('force', M.options, options or {})
  vim.api.nvim_create_autocmd('FileType', {
    group = vim.api.nvim_create_augroup('octod', { clear = true }),
    pattern = 'python',
    callback = function(event)
      M.start(event.buf)
    end,
  })
end

return M
