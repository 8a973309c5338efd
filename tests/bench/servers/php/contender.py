# SPDX-License-Identifier: BSD-2-Clause
"""PHP-FPM behind an nginx with the settings of Gangsaw's, www/ as its pages. Both run as an ordinary user: PHP
8.2 preloads FFI's declarations only so."""

import os
import pathlib
import pwd
import re
import urllib.parse

from harness import CORES, ROOT
from harness.contender import Contender, Request
from harness.processes import Program
from servers.shared import KEY, sum_squares
from stack import free_port

HERE = pathlib.Path(__file__).resolve().parent
CHILDREN = 2 * CORES

# Of Gangsaw's nginx.
MAIN = ("worker_processes", "pcre_jit")
EVENTS = ("worker_connections",)
SERVER = ("client_max_body_size", "client_body_buffer_size", "reset_timedout_connection")
FASTCGI = ("fastcgi_request_buffering", "fastcgi_buffering", "fastcgi_buffer_size", "fastcgi_buffers", "fastcgi_max_temp_file_size")

HEADER = """\
#define FFI_SCOPE "work"
#define FFI_LIB "@LIBRARY@"
double sum_squares(uint64_t end);
"""

FPM = """\
[global]
daemonize = no
error_log = @FOLDER@/php-fpm-error.log

[www]
listen = @FOLDER@/php.sock
pm = static
pm.max_children = @CHILDREN@
"""


def nginx_settings(names):
    """Lines of nginx/ with these directives: what Gangsaw does not set, PHP's has by default too. The last is that of
    the location where all is passed on."""
    text = "\n".join((ROOT / "nginx" / name).read_text()
                     for name in ("dev.conf.in", "gangsaw-server.conf.in", "gangsaw-fastcgi.conf"))  # fmt: skip
    return {name: found[-1] for name in names if (found := re.findall(rf"^ *{name} +(.+);", text, re.MULTILINE))}


def user():
    """Who the stack runs as, when root starts it: see server_user of ./dev."""
    owner = pwd.getpwuid(ROOT.stat().st_uid)
    return pwd.getpwnam("nobody") if owner.pw_uid == 0 else owner


class Php(Contender):
    name = "php-fpm"
    title = "PHP-FPM behind nginx"
    packages = ("php8.2-fpm", "php8.2-opcache", "php8.2-gd", "php8.2-pgsql", "nginx")
    settings = [
        ("pm, pm.max_children", "static, two for each core", "PHP manual, FPM Configuration; 1, 2 and 4 for each core were tried"),
        ("opcache.enable", "1, the default", "PHP manual, OPcache Runtime Configuration"),
        ("opcache.jit, opcache.jit_buffer_size", "tracing, 64M", "PHP manual, OPcache Runtime Configuration"),
        ("opcache.preload", "FFI's declarations", "PHP manual, FFI: A Complete Example with Preloading"),
        ("PDO::ATTR_PERSISTENT", "true", "PHP manual, Connections and Connection management"),
        ("thumbnails", "imagecopyresampled(); imagescale() is quicker and skips pixels", "PHP manual, GD: imagecopyresampled"),
        ("nginx's access_log", "on, the default: Gangsaw's workers log each request too", "nginx, ngx_http_log_module"),
        ("nginx", "worker_processes, connections and buffers of Gangsaw's", "nginx/ of this project"),
    ]  # fmt: skip
    children = CHILDREN

    def start(self, folder, bench):
        self.folder, self.port, self.dsn = folder, free_port(), ""
        self.as_user = []
        if os.getuid() == 0:
            who = user()
            os.chown(folder, who.pw_uid, who.pw_gid)
            self.as_user = ["setpriv", "--reuid", who.pw_uid, "--regid", who.pw_gid, "--clear-groups"]
        self.launch()

    def launch(self):
        self.write("work.h", HEADER, LIBRARY=sum_squares())
        self.write("php-fpm.conf", FPM, CHILDREN=self.children)
        nginx = nginx_settings((*MAIN, *EVENTS, *SERVER, *FASTCGI))
        self.write("nginx.conf", (HERE / "nginx.conf.in").read_text(), PORT=self.port, WWW=HERE / "www", KEY=KEY, DSN=self.dsn,
                   MAIN=directives(nginx, MAIN), EVENTS=directives(nginx, EVENTS),
                   SERVER=directives(nginx, SERVER), FASTCGI=directives(nginx, FASTCGI))  # fmt: skip
        options = {"opcache.jit": "tracing", "opcache.jit_buffer_size": "64M", "opcache.preload": HERE / "preload.php"}
        self.programs = []
        try:
            words = [word for name, value in options.items() for word in ("-d", f"{name}={value}")]
            self.run("php-fpm", ["/usr/sbin/php-fpm8.2", "--fpm-config", self.folder / "php-fpm.conf", *words])
            self.programs[0].wait_until(lambda: (self.folder / "php.sock").exists())
            self.run("nginx", ["/usr/sbin/nginx", "-e", "stderr", "-c", self.folder / "nginx.conf"])
            self.programs[1].wait_until(self.answers)
        except BaseException:
            self.stop()
            raise

    def write(self, name, template, **values):
        for key, value in {"FOLDER": self.folder, **values}.items():
            template = template.replace(f"@{key}@", str(value))
        (self.folder / name).write_text(template)

    def run(self, name, command):
        env = {"WORK_HEADER": str(self.folder / "work.h")}
        self.programs.append(Program([*self.as_user, *command], self.folder / f"{name}.log", env=env))

    def answers(self):
        try:
            return self.request("empty").answer(self.port, 5)
        except OSError:
            return False

    def stop(self):
        super().stop()
        (self.folder / "php.sock").unlink(missing_ok=True)

    def use_database(self, url):
        self.stop()
        parts = urllib.parse.urlsplit(url)
        query = dict(urllib.parse.parse_qsl(parts.query))
        host, port = query.get("host", parts.hostname), query.get("port", parts.port or 5432)
        self.dsn = f"pgsql:host={host};port={port};dbname={parts.path[1:]};user={parts.username}"
        if parts.password:
            self.dsn += f";password={parts.password}"
        self.launch()

    def request(self, work, **params):
        if work == "empty":
            return Request("GET", "/empty.php")
        if work == "squares":
            return Request.json(f"/squares.php?way={params.get('way', 'c')}", {"n": params["n"]})
        if work == "thumbnail":
            return Request("POST", "/thumbnail.php", {"Content-Type": "image/jpeg"}, params["picture"])
        if work == "encrypt":
            return Request("POST", "/encrypt.php", {"Content-Type": "application/octet-stream"}, params["data"])
        if work == "stored":
            return Request.json("/stored.php", {"n": params["n"]})
        return None


def directives(settings, names):
    return "\n".join(f"{name} {settings[name]};" for name in names if name in settings)


CONTENDERS = [Php]
