"""An object store on this machine: moto's S3, which can be told to fail."""

import threading

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.serving import make_server

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",  # Nobody is asked for others.
    "AWS_CONFIG_FILE": "/dev/null",  # Nor those of whoever runs the tests.
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}
BODY = (
    "<?xml version='1.0'?><Error><Code>{code}</Code>"
    "<Message>{message}</Message></Error>"
)


class LoopbackStore:
    """A server with one bucket, `shelf`, in a thread of this process.

    Attributes:
        url: Where the server listens.
        environment: Variables by which anybody finds it.
        requests: Method and path of each request since it was cleared.
    """

    def __init__(self):
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self._server.log = lambda *arguments: None
        self._server.RequestHandlerClass.log_request = lambda *a, **k: None
        self.url = f"http://127.0.0.1:{self._server.port}"
        self.environment = {**CREDENTIALS, "AWS_ENDPOINT_URL": self.url}
        self.requests = []
        self._failures = {}
        self._lost = ""
        threading.Thread(target=self._server.serve_forever).start()
        self._client = boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",  # noqa: S106  For nobody.
        )
        self._client.create_bucket(Bucket="shelf")

    def stop(self):
        """Stops the server."""
        self._client.close()
        self._server.shutdown()
        self._server.server_close()

    def clear(self):
        """Removes all objects, and forgets what was told and asked."""
        self._failures = {}
        for name in self.names():
            self._client.delete_object(Bucket="shelf", Key=name)
        self.requests.clear()

    def fail(self, method, status, code, *, times=10**6, but=0):
        """Refuses requests of a method, the first few excepted."""
        self._failures[method] = [but, times, status, code]

    def lose(self, name):
        """Removes an object when the next block is put."""
        self._lost = name

    def names(self):
        """Returns the names of all objects."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket="shelf"
        )
        return [o["Key"] for page in pages for o in page.get("Contents", [])]

    def get(self, name):
        """Returns what an object holds."""
        body = self._client.get_object(Bucket="shelf", Key=name)["Body"]
        return body.read()

    def put(self, name, data):
        """Makes an object."""
        self._client.put_object(Bucket="shelf", Key=name, Body=data)

    def _answer(self, environ, start_response):
        method = environ["REQUEST_METHOD"]
        self.requests.append((method, environ["PATH_INFO"]))
        if method == "PUT" and self._lost and ".npz" in environ["PATH_INFO"]:
            name, self._lost = self._lost, ""
            self._client.delete_object(Bucket="shelf", Key=name)
        failure = self._failures.get(method, [0, 0, "", ""])
        if failure[0] > 0:
            failure[0] -= 1
        elif failure[1] > 0:
            failure[1] -= 1
            _, _, status, code = failure
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            body = BODY.format(code=code, message=f"This is {code}.").encode()
            start_response(
                status,
                [
                    ("Content-Type", "application/xml"),
                    ("Content-Length", str(len(body))),
                ],
            )
            return [] if method == "HEAD" else [body]
        return self._app(environ, start_response)
