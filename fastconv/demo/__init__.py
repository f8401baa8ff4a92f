"""`fastconv demo`: a page to draw a digit on, which shows what each layer makes of it while it is drawn.

seeing.py computes what is shown, session.py holds the network and trains it, server.py answers a browser (extra
`[demo]`); page/ is what the browser runs, plain HTML, CSS and JavaScript. Not a public module: the command line starts it.
"""
