"""A window out of which the files given as URIs can be dragged. It says on standard output how a drag goes."""

import sys

import gi

gi.require_version("Gtk", "3.0")
gi.require_version("Gdk", "3.0")
from gi.repository import Gdk, GLib, Gtk

# No test drags for longer.
LIFETIME_SECONDS = 120


def say(word):
    print(word, flush=True)


window = Gtk.Window(title="berth-test-drag-source")
window.set_default_size(120, 80)
area = Gtk.EventBox()
area.add(Gtk.Label(label="files"))
window.add(area)
area.drag_source_set(Gdk.ModifierType.BUTTON1_MASK, [], Gdk.DragAction.COPY)
area.drag_source_add_uri_targets()


def give(_widget, _context, data, _info, _time):
    data.set_uris(sys.argv[1:])
    say("taken")


def refused(_widget, _context, _result):
    say("refused")
    return False


area.connect("drag-begin", lambda *_: say("begun"))
area.connect("drag-data-get", give)
area.connect("drag-failed", refused)
area.connect("drag-end", lambda *_: say("ended"))
window.connect("map-event", lambda *_: say("shown"))
window.connect("destroy", Gtk.main_quit)
screen = Gdk.Display.get_default().get_monitor(0).get_geometry()
window.move(screen.width - 140, screen.height - 100)
window.set_keep_above(True)
window.show_all()
GLib.timeout_add_seconds(LIFETIME_SECONDS, Gtk.main_quit)
Gtk.main()
