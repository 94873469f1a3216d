"""A page in the browser: record or drop clips, look at what is heard in them, correct it, adapt again, take the model.

`app.py` answers requests; `guard.py` who may ask, and that every error is an answer; `body.py` uploads; `reading.py`
decodes them in processes that may die; `paths.py` what their folders say; `sessions.py` what a page remembers;
`answers.py` what a page is told; `listening.py` the socket and the end; `page/` what the browser runs.
"""
# Starlette and uvicorn, and not Gradio: the page is ours (its text, its looks, its keyboard), it loads nothing from a
# network and reports to nobody, and two small libraries of Python alone come with it instead of some forty.
