;;; octod.el --- Complete calls to the installed libraries -*- lexical-binding: t; -*-

;; Version: 0.1.0
;; Package-Requires: ((emacs "29.1"))
;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; Registers `octod lsp' with Eglot for Python buffers:
;;
;;   (require 'octod)
;;   (add-hook 'python-base-mode-hook #'eglot-ensure)
;;
;; The menu, hover and signature help come through Eglot.  Ghost text is asked for
;; when the pause `octod-ghost-delay' passes, shown as an overlay, and taken with
;; `octod-accept' (C-c C-l).

;;; Code:

(require 'eglot)

(defgroup octod nil "Complete calls to the installed libraries." :group 'tools)

(defcustom octod-command '("octod" "lsp")
  "The command that starts the language server."
  :type '(repeat string))

(defcustom octod-ghost-delay 0.1
  "Seconds without a key before ghost text is asked for."
  :type 'number)

(defvar-local octod--overlay nil "The ghost text on the screen.")

(add-to-list 'eglot-server-programs `((python-mode python-ts-mode) . ,octod-command))

(defun octod--clear ()
  "Take the ghost text off the screen."
  (when octod--overlay
    (delete-overlay octod--overlay)
    (setq octod--overlay nil)))

(defun octod--region (range)
  "The buffer positions of RANGE; Emacs 30 made the function public."
  (funcall (if (fboundp 'eglot-range-region) 'eglot-range-region 'eglot--range-region) range))

(defun octod--show (item point)
  "Show ITEM, an inline completion of the protocol, at POINT."
  (let* ((text (plist-get item :insertText))
         (range (plist-get item :range))
         (start (if range (car (octod--region range)) point))
         (typed (buffer-substring-no-properties start point)))
    (when (and (stringp text) (string-prefix-p typed text))
      (let ((rest (substring text (length typed))))
        (unless (string-empty-p rest)
          (setq octod--overlay (make-overlay point point))
          (overlay-put octod--overlay 'octod rest)
          (overlay-put octod--overlay 'after-string (propertize rest 'face 'shadow 'cursor 0)))))))

(defun octod--ask (buffer)
  "Ask for ghost text at point when BUFFER is still the one being edited."
  (when (and (eq buffer (current-buffer)) (eglot-current-server))
    (let ((point (point)) (tick (buffer-chars-modified-tick)))
      (eglot--signal-textDocument/didChange)
      (jsonrpc-async-request
       (eglot-current-server) :textDocument/inlineCompletion
       (append (eglot--TextDocumentPositionParams) '(:context (:triggerKind 2)))
       :success-fn
       (lambda (answer)
         (when (and (eq buffer (current-buffer)) (= point (point)) (= tick (buffer-chars-modified-tick)))
           (octod--clear)
           (let ((items (if (vectorp answer) answer (plist-get answer :items))))
             (when (> (length items) 0) (octod--show (aref items 0) point)))))
       :error-fn #'ignore
       :deferred :octod))))

(defvar-local octod--timer nil "The wait for the pause before a question.")

(defun octod--after-command ()
  "Forget old ghost text and ask anew after a pause."
  (octod--clear)
  (when octod--timer (cancel-timer octod--timer))
  (when (eq this-command 'self-insert-command)
    (setq octod--timer (run-with-idle-timer octod-ghost-delay nil #'octod--ask (current-buffer)))))

(defun octod-accept ()
  "Insert the ghost text."
  (interactive)
  (if (not octod--overlay)
      (user-error "No ghost text here")
    (let ((text (overlay-get octod--overlay 'octod)))
      (octod--clear)
      (insert text))))

(define-minor-mode octod-mode
  "Ghost text from octod in this buffer."
  :lighter " octod"
  :keymap (let ((map (make-sparse-keymap)))
            (define-key map (kbd "C-c C-l") #'octod-accept)
            map)
  (if octod-mode
      (add-hook 'post-command-hook #'octod--after-command nil t)
    (remove-hook 'post-command-hook #'octod--after-command t)
    (octod--clear)))

(add-hook 'eglot-managed-mode-hook
          (lambda () (when (derived-mode-p 'python-base-mode) (octod-mode (if (eglot-managed-p) 1 -1)))))

(provide 'octod)
;;; octod.el ends here
