"""A page in the browser: record or drop clips, look at what is heard in them, correct it, adapt again, take the model.

`app.py` answers requests; `web.py` is HTTP below it; `reading.py` decodes uploads in processes that may die; `pages.py`
is what a page remembers; `answers.py` what a page is told; `page/` what the browser runs.
"""
# Starlette and uvicorn, and not Gradio: the page is ours (its text, its looks, its keyboard), it loads nothing from a
# network and reports to nobody, and two small libraries of Python alone come with it instead of some forty.
