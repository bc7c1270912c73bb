"""Films: what comes in comes out, with colours; and a run can be killed at any moment."""
import os, shutil, signal, stat, subprocess, sys, time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

av = pytest.importorskip("av", reason="needs the package av (extra video)")
from typer.testing import CliRunner

from colorize_lib import cli
from colorize_lib.film import chroma, colorize_film, gray_levels, part_length, small_lightness, work_folder
from colorize_lib.film_files import _tone, has_mark, pictures, read_film, sample_film, wander
from colorize_lib.inference import Colorizer
from colorize_lib.photo_headers import PhotoError
from colorize_lib.photo_xmp import COMPOSITE, NOTE
from colorize_lib.photos import sample_photos

ROOT = Path(__file__).resolve().parent.parent
SIZE, N = (96, 64), 24
PHOTO = sample_photos()["coffee"]

@pytest.fixture(scope="module")
def colorizer():
    return Colorizer.from_pretrained(device="cpu", size=64)

@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path

def grays(n=N, size=SIZE):
    return list(wander(PHOTO, n, size))

def packets(path, kind="audio", number=0):
    "(time, length, bytes) of each packet of a stream"
    with av.open(str(path)) as file:
        stream = getattr(file.streams, kind)[number]
        return [(p.pts*p.time_base, bytes(p)) for p in file.demux(stream) if p.dts is not None]

def times(path):
    film = read_film(path)
    return [at*film.base for _, at, _ in pictures(film)]

def lumas(path):
    return np.stack([luma for luma, _, _ in pictures(read_film(path))]).astype(int)

def frames(path):
    with av.open(str(path)) as file: return [frame for frame in file.decode(video=0)]

def heard(path):
    with av.open(str(path)) as file: return np.concatenate([frame.to_ndarray() for frame in file.decode(audio=0)], axis=1)

def same_luma(one, other, levels=2.5):  # what CRF 16 costs a very small picture
    return np.abs(lumas(one) - lumas(other)).mean() < levels

def as_frame(gray):
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(gray), "gray").reformat(format="yuv420p")

def has_colours(path):
    planes = [frame.to_ndarray(format="yuv444p") for frame in frames(path)]
    return np.abs(planes[len(planes)//2][1:].astype(int) - 128).max() > 4

# ---- what is kept ----

@pytest.mark.parametrize("name", ["film.mp4", "film.mov", "film.mkv", "film.m4v"])
def test_pictures_times_and_sound_are_kept(here, colorizer, name):
    sample_film(name, grays())
    target = here/f"film_color{Path(name).suffix}"
    assert colorize_film(colorizer, here/name, target, "gan") == ()
    assert times(target) == times(name) and len(times(target)) == N
    assert packets(target) == packets(name)
    assert np.array_equal(heard(target), heard(name))
    assert same_luma(name, target) and has_colours(target)
    with av.open(name) as old, av.open(str(target)) as new: assert abs(old.duration - new.duration) <= 2000*(name == "film.mkv")  # Matroska counts milliseconds
    assert sorted(os.listdir()) == sorted([name, target.name])

def test_uneven_times_are_kept(here, colorizer):
    steps = np.random.default_rng(0).integers(11, 140, N).cumsum().tolist()
    sample_film("phone.mp4", grays(), times=steps)
    colorize_film(colorizer, here/"phone.mp4", here/"out.mp4")
    assert times("out.mp4") == times("phone.mp4") and len(set(np.diff(steps))) > 5
    assert packets("out.mp4") == packets("phone.mp4")

def test_a_film_without_sound(here, colorizer):
    sample_film("silent.mp4", grays(), sound=False)
    colorize_film(colorizer, here/"silent.mp4", here/"out.mp4")
    with av.open("out.mp4") as file: assert not file.streams.audio
    assert times("out.mp4") == times("silent.mp4")

def test_notes_titles_and_chapters_are_kept(here, colorizer):
    Path("titles.srt").write_text("1\n00:00:00,100 --> 00:00:00,600\nHello\n", encoding="utf-8")
    with av.open("titles.srt") as titles, av.open("film.mkv", "w") as out:
        stream = out.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        sound = out.add_stream("aac", rate=48_000)
        sound.metadata["language"] = "vie"
        text = out.add_stream_from_template(titles.streams[0])
        out.metadata.update(title="Wedding", comment="Reel 3")
        out.set_chapters([dict(id=1, start=0, end=500, time_base=Fraction(1, 1000), metadata=dict(title="Church"))])
        for gray in grays(): out.mux(stream.encode(as_frame(gray)))
        out.mux([*stream.encode(), *_tone(sound, 1)])
        for packet in titles.demux():
            if packet.dts is None: continue
            packet.stream = text
            out.mux(packet)
    colorize_film(colorizer, here/"film.mkv", here/"out.mkv", "gan 1")
    assert packets("out.mkv", "subtitles") == packets("film.mkv", "subtitles") and b"Hello" in packets("out.mkv", "subtitles")[0][1]
    with av.open("out.mkv") as file:
        notes = {key.lower(): value for key, value in file.metadata.items()}
        assert notes["title"] == "Wedding" and notes["comment"].startswith("Reel 3\n" + NOTE)
        assert COMPOSITE in notes["comment"] and "gan 1" in notes["comment"]
        assert [chapter["metadata"]["title"] for chapter in file.chapters()] == ["Church"]
        assert file.streams.audio[0].language == "vie"

def test_our_mark_is_found_by_programs(here, colorizer):
    sample_film("film.mp4", grays(3))
    colorize_film(colorizer, here/"film.mp4", here/"out.mp4", "gan")
    assert has_mark(here/"out.mp4") and not has_mark(here/"film.mp4")
    assert b"DigitalSourceType" in (here/"out.mp4").read_bytes()

@pytest.mark.parametrize("degrees, turns", [(90, 1), (-90, 3), (180, 2)])
def test_rotation_is_kept_and_the_network_sees_people_upright(here, colorizer, degrees, turns):
    with av.open("film.mp4", "w") as file:
        stream = file.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.set_display_rotation(degrees)
        for gray in grays(4): file.mux(stream.encode(as_frame(gray)))
        file.mux(stream.encode())
    film = read_film("film.mp4")
    assert film.turns == turns
    L = small_lightness(next(pictures(film))[0], film, 128)
    assert (L.shape[2] > L.shape[3]) == (turns % 2 == 1)
    colorize_film(colorizer, here/"film.mp4", here/"out.mp4")
    assert read_film("out.mp4").display == film.display
    assert frames("out.mp4")[0].rotation == frames("film.mp4")[0].rotation in (degrees, -180)

@pytest.mark.parametrize("tags", [dict(colorspace=1, color_primaries=1, color_trc=1), dict(colorspace=5, color_primaries=5, color_trc=6),
                                  dict(colorspace=6, color_primaries=6, color_trc=6, color_range=2)])
def test_colour_tags_are_kept(here, colorizer, tags):
    sample_film("film.mp4", grays(4), **tags)
    colorize_film(colorizer, here/"film.mp4", here/"out.mp4")
    [one, *_], [other, *_] = frames("film.mp4"), frames("out.mp4")
    for name in ("colorspace", "color_primaries", "color_trc", "color_range"):
        assert getattr(other, name) == max(getattr(one, name), 1 if name == "color_range" else 0)
    assert {name: getattr(other, name) for name in tags} == tags

@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix, name", [(1, "ITU709"), (6, "ITU601")])
def test_players_see_the_colours_that_were_asked_for(here, full, matrix, name):
    from colorize_lib.photo_lab import photo_to_lab
    sample_film("film.mp4", grays(1), colorspace=matrix, color_range=2 if full else 1)
    film = read_film("film.mp4")
    luma = np.full((64, 96), 120, np.uint8)
    planes = chroma(luma, np.stack([np.full((4, 4), 14.), np.full((4, 4), -16.)]), film)
    frame = av.VideoFrame.from_ndarray(np.concatenate([luma.ravel(), planes.ravel()]).reshape(-1, 96), "yuv420p")
    rgb = frame.reformat(format="rgb24", src_colorspace=name, src_color_range="JPEG" if full else "MPEG").to_ndarray()
    _, a, b = photo_to_lab(rgb).mean(axis=(1, 2))
    assert a == pytest.approx(14, abs=1.2) and b == pytest.approx(-16, abs=1.2)

def test_pixels_that_are_not_square(here, colorizer):
    sample_film("dvd.mkv", grays(4), sample_aspect_ratio=Fraction(16, 11))
    colorize_film(colorizer, here/"dvd.mkv", here/"out.mkv")
    assert read_film("out.mkv").aspect == read_film("dvd.mkv").aspect == Fraction(16, 11)

def test_ten_bits_stay_ten(here, colorizer):
    sample_film("deep.mp4", grays(6), form="yuv420p10le")
    colorize_film(colorizer, here/"deep.mp4", here/"out.mp4")
    assert read_film("out.mp4").deep and read_film("out.mp4").form == "yuv420p10le"
    assert lumas("deep.mp4").max() > 255 and same_luma("deep.mp4", "out.mp4", 4*2.5) and has_colours("out.mp4")

def test_odd_sizes_keep_every_line(here, colorizer):
    sample_film("odd.mp4", grays(6, (95, 63)), form="yuv444p")
    words = colorize_film(colorizer, here/"odd.mp4", here/"out.mp4")
    assert "odd" in " ".join(words) and read_film("out.mp4").size == (95, 63) and same_luma("odd.mp4", "out.mp4")

def earlier(path):
    "Mean luma of the lines that are shown first"
    graph = av.filter.Graph()
    frame = frames(path)[0]
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format.name, time_base=Fraction(1, 25))
    graph.link_nodes(source, graph.add("separatefields"), graph.add("buffersink")).configure()
    graph.push(frame)
    return graph.pull().to_ndarray(format="gray").mean()

@pytest.mark.parametrize("first", ["tff", "bff"])
@pytest.mark.parametrize("name, codec", [("tv.mkv", "libx264"), ("tv.mp4", "libx264"), ("tv.ts", "mpeg2video")])
def test_an_interlaced_film_stays_interlaced(here, colorizer, name, codec, first):
    bright, dark = np.full((64, 96), 200, np.uint8), np.full((64, 96), 40, np.uint8)
    woven = bright.copy()
    woven[1::2] = dark[1::2]  # light comes first where the upper lines do
    graph = av.filter.Graph()
    source = graph.add_buffer(width=96, height=64, format="yuv420p", time_base=Fraction(1, 25))
    graph.link_nodes(source, graph.add("setfield", first), graph.add("buffersink")).configure()
    with av.open(name, "w") as file:
        stream = file.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = *SIZE, "yuv420p", 3_000_000
        stream.codec_context.flags |= 0x40000 | 0x20000000
        for i in range(12):
            graph.push(as_frame(woven))
            frame = graph.pull()
            frame.pts, frame.time_base = i, Fraction(1, 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    film = read_film(name)
    assert film.fields == {"tff": 2, "bff": 3}[first]
    colorize_film(colorizer, here/name, here/"out.mkv")
    assert all(frame.interlaced_frame for frame in frames("out.mkv"))
    assert (earlier("out.mkv") > 120) == (earlier(name) > 120) == (first == "tff")
    assert same_luma(name, "out.mkv") and read_film("out.mkv").fields == film.fields

def test_an_old_avi_becomes_matroska(here):
    with av.open("old.avi", "w") as file:
        stream = file.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = *SIZE, "yuv420p", 2_000_000
        for gray in grays(5): file.mux(stream.encode(as_frame(gray)))
        file.mux(stream.encode())
    code, told = colorize("old.avi")
    assert code == 0 and Path("old.avi_color.mkv").is_file() and len(times("old.avi_color.mkv")) == 5

@pytest.mark.parametrize("form", ["gray", "gray10le", "bgr0", "yuv422p", "yuv420p12le", "yuva420p"])
def test_rare_pixels_have_the_right_lightness(here, colorizer, form):
    ramp = np.tile(np.linspace(0, 255, 96).astype(np.uint8), (64, 1))
    with av.open("rare.mkv", "w") as file:
        stream = file.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = *SIZE, form
        frame = av.VideoFrame.from_ndarray(ramp, "gray")
        span = dict(src_color_range=2, dst_color_range=2 if form.startswith("gray") else 1)
        for _ in range(3): file.mux(stream.encode(frame.reformat(format=form, **span)))
        file.mux(stream.encode())
    film = read_film("rare.mkv")
    levels = gray_levels(next(pictures(film))[0], film).astype(int)
    assert np.abs(levels - ramp).max() <= 2
    words = colorize_film(colorizer, here/"rare.mkv", here/"out.mp4")
    assert ("its 12 bits become 10" in words) == (form == "yuv420p12le")
    done = read_film("out.mp4")
    assert done.full == form.startswith("gray") and done.deep == ("1" in form)
    assert np.abs(gray_levels(next(pictures(done))[0], done).astype(int) - ramp).mean() < 2.5

def test_a_palette_is_no_lightness(here, colorizer):
    ramp = np.tile(np.linspace(0, 255, 96).astype(np.uint8), (64, 1))
    upside_down = np.repeat(np.arange(255, -1, -1, dtype=np.uint8)[:, None], 4, 1)
    upside_down[:, 0] = 255  # alpha
    frame = av.VideoFrame.from_ndarray((255 - ramp, upside_down), "pal8")
    with av.open("palette.mov", "w") as file:
        stream = file.add_stream("png", rate=24)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "pal8"
        file.mux(stream.encode(frame))
        file.mux(stream.encode())
    film = read_film("palette.mov")
    levels = gray_levels(next(pictures(film))[0], film).astype(int)
    assert np.abs(levels - ramp).max() <= 2

@pytest.mark.parametrize("name, codec", [("old.avi", "libx264"), ("dvd.mpg", "mpeg2video")])
def test_where_times_hang_together_nobody_jumps(here, colorizer, name, codec):
    with av.open(name, "w") as file:
        stream = file.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = *SIZE, "yuv420p", 3_000_000
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = 12, 2
        for i, gray in enumerate(grays(90)):
            frame = as_frame(gray)
            frame.pts, frame.time_base = i, Fraction(1, 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    film = read_film(name)
    whole = [at for _, at, _ in pictures(film)]
    assert len(whole) == 90
    for stop in (30, 61): assert [at for _, at, _ in pictures(film, after=whole[stop])] == whole[stop + 1:]

def test_a_colon_in_a_name_is_no_address(here, colorizer):
    sample_film("film.mp4", grays(3))
    os.rename("film.mp4", "tape:1.mp4")
    colorize_film(colorizer, Path("tape:1.mp4"), Path("tape:1_color.mp4"))
    assert has_mark("tape:1_color.mp4")

# ---- what is damaged, or no film ----

def test_recordings_put_one_behind_another_are_refused(here, colorizer):
    sample_film("one.ts", grays(40), sound=False)
    Path("two.ts").write_bytes(Path("one.ts").read_bytes()*2)
    with pytest.raises(PhotoError, match="two.ts: its clock falls back"):
        colorize_film(colorizer, here/"two.ts", here/"out.mkv", told=lambda *_: pytest.fail("began"))

def test_a_truncated_film_gives_what_is_there(here, colorizer):
    sample_film("whole.mkv", grays(96, (192, 128)), sound=False)
    data = Path("whole.mkv").read_bytes()
    Path("half.mkv").write_bytes(data[:len(data)//2])
    words = colorize_film(colorizer, here/"half.mkv", here/"out.mkv")
    there = len(times("half.mkv"))
    assert 10 < there < 90 and len(times("out.mkv")) == there
    assert "truncated" in " ".join(words) and "of 4.0 seconds are there" in " ".join(words)

def test_what_is_broken_inside_is_passed_over_and_counted(here, colorizer):
    sample_film("film.mp4", grays(), sound=False)
    with av.open("film.mp4") as old, av.open("bad.mp4", "w") as new:
        copy = new.add_stream_from_template(old.streams[0], opaque=True)
        for number, packet in enumerate(old.demux()):
            if packet.dts is None: continue
            bad = av.Packet(b"\0"*packet.size) if number == 10 else packet
            bad.pts, bad.dts, bad.time_base, bad.stream = packet.pts, packet.dts, packet.time_base, copy
            new.mux(bad)
    assert colorize_film(colorizer, here/"bad.mp4", here/"out.mp4") == ("passed over what is broken: 1 picture",)
    assert len(times("out.mp4")) == len(times("bad.mp4")) < N

def test_a_truncated_film_whose_index_comes_first(here, colorizer):
    sample_film("film.mp4", grays(96, (192, 128)))
    with av.open("film.mp4") as old, av.open("web.mp4", "w", options=dict(movflags="faststart")) as new:
        streams = {stream: new.add_stream_from_template(stream, opaque=True) for stream in old.streams}
        for packet in old.demux():
            if packet.dts is None: continue
            packet.stream = streams[packet.stream]
            new.mux(packet)
    data = Path("web.mp4").read_bytes()
    Path("half.mp4").write_bytes(data[:len(data)*6//10])
    words = colorize_film(colorizer, here/"half.mp4", here/"out.mp4")
    there = len(times("half.mp4"))
    assert 10 < there < 90 and len(times("out.mp4")) == there
    assert "truncated" in " ".join(words) and "of 4.0 seconds are there" in " ".join(words)

@pytest.mark.parametrize("make, said", [
    (lambda: Path("a.mp4").write_bytes(b"no film at all"), "cannot be read as a film"),
    (lambda: Path("a.mp4").write_bytes(b""), "empty"),
    (lambda: PHOTO.save("a.mp4", "JPEG"), "is no film"),
    (lambda: (sample_film("b.mp4", grays(3)), Path("a.mp4").write_bytes(Path("b.mp4").read_bytes()[:600])), "cannot be read as a film")])
def test_what_is_no_film_is_refused_by_name(here, make, said):
    make()
    code, told = colorize("a.mp4")
    assert code == 1 and "a.mp4: " in told and said in told and "0 colorized, 0 skipped, 1 failed" in told
    assert not [name for name in os.listdir() if "color" in name]

def test_sound_alone_and_hdr_are_refused(here, colorizer):
    with av.open("tune.mp4", "w") as file:
        file.mux(list(_tone(file.add_stream("aac", rate=48_000), .5)))
    sample_film("hdr.mp4", grays(3), form="yuv420p10le", colorspace=9, color_primaries=9, color_trc=16)
    for name, said in (("tune.mp4", "tune.mp4: has no moving pictures"), ("hdr.mp4", "hdr.mp4: is an HDR")):
        with pytest.raises(PhotoError, match=said): colorize_film(colorizer, here/name, here/"out.mp4")

def test_a_cover_is_left_out_and_named(here, colorizer):
    with av.open("film.mp4", "w") as file:
        stream, cover = (file.add_stream(name, rate=24) for name in ("libx264", "mjpeg"))
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        cover.width, cover.height, cover.pix_fmt = *SIZE, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        file.mux(cover.encode(as_frame(grays(1)[0]).reformat(format="yuvj420p")))
        for gray in grays(3): file.mux(stream.encode(as_frame(gray)))
        file.mux([*stream.encode(), *cover.encode()])
    assert colorize_film(colorizer, here/"film.mp4", here/"out.mp4") == ("left out: a cover or a second view",)
    assert len(times("out.mp4")) == 3

def test_sound_that_has_no_place_is_said_before_the_work(here, colorizer):
    with av.open("film.mkv", "w") as file:
        stream = file.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        file.add_stream("pcm_u8", rate=48_000)
        for gray in grays(3): file.mux(stream.encode(as_frame(gray)))
        file.mux(stream.encode())
    seen = []
    with pytest.raises(PhotoError, match="have no place in mp4: give the result a name in .mkv"):
        colorize_film(colorizer, here/"film.mkv", here/"out.mp4", told=lambda film, done: seen.append(done))
    assert not seen and os.listdir() == ["film.mkv"]

# ---- interruptions ----

KILLED = """
import os, signal, sys
from pathlib import Path
from colorize_lib.film import colorize_film
from colorize_lib.inference import Colorizer
def told(film, done):
    if done == int(sys.argv[1]): os.kill(os.getpid(), signal.SIGKILL)
    print(done, flush=True)
colorize_film(Colorizer.from_pretrained(device="cpu", size=64), Path("film.mp4"), Path(sys.argv[2]), "gan", told=told)
"""

def test_three_kills_and_the_same_frames(here):
    sample_film("film.mp4", grays(60))
    def run(kill, target):
        done = subprocess.run([sys.executable, "-c", KILLED, str(kill), target], capture_output=True, text=True)
        return done.returncode, [int(line) for line in done.stdout.split()]
    length = part_length(read_film("film.mp4"))
    assert length == 24
    runs = [run(kill, "out.mp4") for kill in (20, 40, 55, -1)]
    assert [code for code, _ in runs] == [-signal.SIGKILL]*3 + [0]
    assert [done[0] for _, done in runs] == [1, 1, 25, 49]  # behind the last whole part
    assert run(-1, "once.mp4")[0] == 0
    assert Path("out.mp4").read_bytes() == Path("once.mp4").read_bytes()
    assert sorted(os.listdir()) == ["film.mp4", "once.mp4", "out.mp4"]

@pytest.mark.parametrize("left", [lambda data: b"", lambda data: data[:len(data)//2], lambda data: bytes(len(data))])
@pytest.mark.parametrize("number, first", [(1, 25), (0, 1)])
def test_a_damaged_part_is_made_again(here, colorizer, left, number, first):
    class Stop(Exception): pass
    def stop(film, done):
        if done == 50: raise Stop
    sample_film("film.mp4", grays(52))
    with pytest.raises(Stop): colorize_film(colorizer, here/"film.mp4", here/"out.mp4", told=stop)
    part = work_folder(here/"out.mp4")/f"00000{number}.npz"
    part.write_bytes(left(part.read_bytes()))
    counts = []
    colorize_film(colorizer, here/"film.mp4", here/"out.mp4", told=lambda film, done: counts.append(done))
    colorize_film(colorizer, here/"film.mp4", here/"once.mp4")
    assert counts[0] == first and times("out.mp4") == times("once.mp4") and same_luma("out.mp4", "once.mp4", 1)

def test_parts_of_another_film_are_not_used(here, colorizer):
    class Stop(Exception): pass
    def stop(film, done):
        if done == 30: raise Stop
    sample_film("film.mp4", grays(40))
    with pytest.raises(Stop): colorize_film(colorizer, here/"film.mp4", here/"out.mp4", told=stop)
    assert (work_folder(here/"out.mp4")/"000000.npz").is_file()
    sample_film("film.mp4", grays(40)[::-1])
    counts = []
    colorize_film(colorizer, here/"film.mp4", here/"out.mp4", told=lambda film, done: counts.append(done))
    assert counts[0] == 1 and same_luma("film.mp4", "out.mp4")

def test_two_runs_do_not_share_a_folder(here, colorizer):
    sample_film("film.mp4", grays(3))
    from colorize_lib.core import draft_prefix
    work_folder(here/"out.mp4").mkdir()
    (work_folder(here/"out.mp4")/f"{draft_prefix(os.getppid())}0.mp4").touch()
    with pytest.raises(PhotoError, match="another run is at work"): colorize_film(colorizer, here/"film.mp4", here/"out.mp4")

def test_forgotten_parts_are_removed(here, colorizer):
    sample_film("film.mp4", grays(3))
    old, young, foreign = (here/f".{name}.mp4.parts" for name in ("old", "young", "foreign"))
    for folder in (old, young, foreign): folder.mkdir()
    for folder in (old, young): (folder/"origin.json").write_text("{}")
    for folder in (old, foreign): os.utime(folder, (0, 0))
    colorize_film(colorizer, here/"film.mp4", here/"out.mp4")
    assert (old.exists(), young.exists(), foreign.exists()) == (False, True, True)

# ---- the command ----

def colorize(*args):
    result = CliRunner().invoke(cli.app, [str(arg) for arg in args])
    return result.exit_code, result.output + (result.stderr if result.stderr_bytes else "")

def test_the_command_colours_a_film_and_refuses_what_is_there(here):
    sample_film("film.mp4", grays(5))
    os.chmod("film.mp4", 0o640)
    code, told = colorize("film.mp4")
    assert code == 0 and "film_color.mp4" in told and "1 colorized" in told
    assert stat.S_IMODE(os.stat("film_color.mp4").st_mode) == 0o640
    before = Path("film_color.mp4").read_bytes()
    code, told = colorize("film.mp4")
    assert code == 0 and "exists, use --force" in told and Path("film_color.mp4").read_bytes() == before
    code, told = colorize("film.mp4", "--force")
    assert code == 0 and "1 colorized" in told
    shutil.copy("film.mp4", "mine.mp4")
    code, told = colorize("film.mp4", "-o", "mine.mp4", "--force")
    assert code == 1 and "mine.mp4 is not a result of colorize" in told
    assert Path("mine.mp4").read_bytes() == Path("film.mp4").read_bytes()

def test_films_in_folders_are_named_and_left_alone(here):
    Path("album").mkdir()
    PHOTO.convert("L").resize((60, 40)).save("album/a.jpg")
    sample_film("album/b.mp4", grays(3))
    code, told = colorize("album")
    assert code == 0 and "b.mp4: is a film: name it in the command to colorize it" in told.replace("\n", "")
    assert "1 colorized, 1 skipped, 0 failed" in told and not Path("album/b_color.mp4").exists()

def test_targets_fit_films(here):
    sample_film("film.mp4", grays(3))
    code, told = colorize("film.mp4", "-o", "film.jpg")
    assert code == 1 and "cannot write a film as .jpg; use one of .mp4 .m4v .mov .mkv" in told
    PHOTO.save("a.jpg")
    code, told = colorize("a.jpg", "-o", "a.mp4")
    assert code == 1 and "cannot write .mp4" in told
    code, told = colorize("film.mp4", "-o", "out/", "--sidecar")
    assert code == 0 and Path("out/film_color.mp4.json").is_file()

def test_without_the_extra_its_name_is_said(here, monkeypatch):
    from colorize_lib import folders
    monkeypatch.setattr(folders, "reads_films", lambda: False)
    Path("film.mp4").write_bytes(b"...")
    code, told = colorize("film.mp4")
    assert code == 1 and "film.mp4: is a film, which is not read; pip install 'colorize_lib[video]'" in told

def test_photos_do_not_wait_for_films():
    code = "import sys, colorize_lib.cli; sys.exit('av' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
