"""A real web server on 127.0.0.1 that answers well or badly, as a test says."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Mirror:
    """Serves what `answers` has for a file name, from a thread of its own.

    An answer is bytes (sent with 200), a status code, or a function of the
    request handler; a list gives one answer a request, the last one forever.
    `requests` lists the file names that were asked for.
    """

    def __init__(self, answers):
        self.answers, self.requests = answers, []
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.path.rpartition("/")[2]
                mirror.requests.append(name)
                answer = mirror.answers.get(name, 404)
                if isinstance(answer, list):
                    answer = answer.pop(0) if len(answer) > 1 else answer[0]
                if callable(answer):
                    answer(self)
                elif isinstance(answer, int):
                    self.send_error(answer)
                else:
                    send(self, answer, len(answer))

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        # It looks every 0.02 s whether it is to stop, so that closing is quick.
        serve = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        serve.daemon = True
        serve.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


def send(handler, body, announced):
    """Send `body` under a Content-Length of `announced`."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(announced))
    handler.end_headers()
    handler.wfile.write(body)
