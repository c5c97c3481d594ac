#!/usr/bin/env python3
"""Makes src/servicing/locale/locales.tsv and regions.tsv from published tables.

Usage: locale_tables.py SOURCES [--check]

SOURCES is a folder with these, unpacked or saved (versions as of the tables in the repository):

  lcid/           crate lcid 0.3.0                       tags, LCIDs, language abbreviations, ANSI code pages (MS-LCID)
  cldr-core/      npm cldr-core 48.2.0                   windowsZones.json: regions and their Windows zones
  cldr-names/     npm cldr-localenames-full 48.2.0       main/en/territories.json: English names of regions
  phone/          npm libphonenumber-js 1.13.16          metadata.min.json: calling codes
  LocaleData.cs   LocaleData.Unix.cs of .NET (coreclr, e9ac7dc62bec, MIT)    OEM and Mac code pages, GEOIDs
  keyboards.md    README of keyboardlayoutlist (cc8b68d)    default input profiles, as Windows 10 21H2 reports them

Facts only are taken. With --check nothing is written; the exit code is 1 when the tables differ.
"""

import json
import pathlib
import re
import sys

# Regions with several zones: the zone of the capital or of a major city is Windows' default (Microsoft's reference of the answer file, TimeZone).
PRIMARY = {
    "AU": "AUS Eastern Standard Time", "BR": "E. South America Standard Time", "CA": "Eastern Standard Time",
    "CD": "W. Central Africa Standard Time", "CL": "Pacific SA Standard Time", "CN": "China Standard Time",
    "EC": "SA Pacific Standard Time", "ES": "Romance Standard Time", "GL": "Greenland Standard Time",
    "ID": "SE Asia Standard Time", "KZ": "Qyzylorda Standard Time", "MN": "Ulaanbaatar Standard Time",
    "MX": "Central Standard Time (Mexico)", "NZ": "New Zealand Standard Time", "PT": "GMT Standard Time",
    "RU": "Russian Standard Time", "UA": "FLE Standard Time", "US": "Pacific Standard Time",
}

MAC_OF = {1250: 10029, 1251: 10007, 1252: 10000, 1256: 10004}


def read_lcid(folder):
    """tag -> (lcid, abbreviation, ansi code page or 0), specific locales only."""
    pages = {}
    source = (folder / "src/lib.rs").read_text()
    constants = (folder / "src/constants.rs").read_text()
    for name, number in re.findall(r"(?:Self|AnsiCodePage)::(\w+) => (\d+)", source):
        pages[name] = int(number)
    pages.update({"ShiftJIS": 932, "Gb2312": 936})
    found = {}
    pattern = re.compile(
        r'name: "([^"]+)",\s*lcid: (0x[0-9A-Fa-f]+),\s*english_name: "([^"]+)".*?windows_three_letter: "([^"]+)",\s*ansi_code_page: (None|Some\(AnsiCodePage::(\w+)\))',
        re.S)
    for tag, lcid, english, letters, page, page_name in pattern.findall(constants):
        found[tag, int(lcid, 16)] = (english, letters, page_name)
    return found, pages


def read_dotnet(path):
    """lower-case tag -> (lcid, ansi, oem, mac, geoid)."""
    text = path.read_text()
    row = re.compile(r"^\s*(" + r"0x[0-9a-f]+\s*,\s*" * 6 + r")-?\d+\s*,.*// \d+\s+- (\S+)", re.M)
    return {tag: tuple(int(n, 16) for n in re.findall(r"0x[0-9a-f]+", numbers)) for numbers, tag in row.findall(text)}


def read_keyboards(path):
    """English name 'German (Austria)' -> list of profiles, and lcid -> list of profiles for those that name themselves."""
    named = {}
    text = path.read_text()
    text = text[text.index("Primary input profile"):]
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        profiles = re.findall(r"\(([0-9A-F]{4}:(?:[0-9A-F]{8}|\{[0-9A-F-]+\}\{[0-9A-F-]+\}))\)", line, re.I)
        if profiles:
            named[cells[0]] = [profile.lower() if "{" not in profile else profile[:5].lower() + profile[5:].upper() for profile in profiles]
    return named


def key(name):
    """'Serbian (Cyrillic, Bosnia and Herzegovina)' and 'Serbian (Cyrillic) - Bosnia & Herzegovina' are the same."""
    name = name.replace("&", "and").replace("SAR", "").replace("S.A.R.", "")
    return re.sub(r"[^a-z]", "", name.lower())


def main():
    sources = pathlib.Path(sys.argv[1])
    target = pathlib.Path(__file__).resolve().parents[2] / "src/servicing/locale"
    lcids, _ = read_lcid(sources / "lcid")
    dotnet = read_dotnet(sources / "LocaleData.cs")
    keyboards = read_keyboards(sources / "keyboards.md")
    by_key = {key(name): profiles for name, profiles in keyboards.items()}
    own = {}
    for name, profiles in keyboards.items():
        own.setdefault(int(profiles[0][:4], 16), []).append((name, profiles))
    zones = {}
    for entry in json.loads((sources / "cldr-core/supplemental/windowsZones.json").read_text())["supplemental"]["windowsZones"]["mapTimezones"]:
        zone = entry["mapZone"]
        zones.setdefault(zone["_territory"], [])
        if zone["_other"] not in zones[zone["_territory"]]:
            zones[zone["_territory"]].append(zone["_other"])
    names = json.loads((sources / "cldr-names/main/en/territories.json").read_text())["main"]["en"]["localeDisplayNames"]["territories"]
    phones = {}
    for code, regions in json.loads((sources / "phone/metadata.min.json").read_text())["country_calling_codes"].items():
        for region in regions:
            phones.setdefault(region, code)

    rows, regions, dropped = [], {}, []
    for (tag, lcid), (english, letters, page_name) in sorted(lcids.items(), key=lambda item: item[0]):
        numbers = dotnet.get(tag.lower())
        match = re.search(r"-([A-Z]{2}|[0-9]{3})(?:-valencia)?$", tag)
        if lcid >= 0x10000 or lcid < 0x400 or lcid in (0x40A, 0x1000) or not match or numbers is None or numbers[0] != lcid:
            dropped.append((tag, hex(lcid), numbers and hex(numbers[0])))
            continue
        region = match.group(1)
        if region not in names or region in ("CS",):
            dropped.append((tag, "region"))
            continue
        _, ansi, oem, mac, _, geoid = numbers
        # Code pages 0, 1, 2 say "whatever the system has": the locale is Unicode only. A Mac code page of 2 alone becomes the one of its neighbours.
        mac = MAC_OF[ansi] if mac == 2 and ansi > 2 else mac
        pages = f"{ansi},{oem},{mac}" if ansi > 2 else "-"
        assert (ansi > 2) == bool(page_name), tag
        # Their names differ in details; a row whose primary profile is the locale's own is it, when there is one such row.
        profiles = by_key.get(key(english))
        if profiles is None:
            mine = own.get(lcid, [])
            profiles = mine[0][1] if len(mine) == 1 else None
        if profiles is None:
            print(f"no keyboard known: {tag} {english}", file=sys.stderr)
        rows.append([tag, f"{lcid:04x}", letters, region, pages, ";".join(profiles) if profiles else "-"])
        zone = PRIMARY.get(region) or (zones[region][0] if len(zones.get(region, [])) == 1 else "-")
        assert zone == "-" or zone in zones[region], region
        entry = [region, str(geoid), phones.get(region, "-"), zone, names[region]]
        # One GEOID for a region; some locales have another by mistake of theirs.
        if region in regions and regions[region] != entry:
            print(f"{tag}: {entry} but {regions[region]}", file=sys.stderr)
        regions.setdefault(region, entry)
    for line in dropped:
        print("left out:", *line, file=sys.stderr)
    locales_text = "".join("\t".join(row) + "\n" for row in rows)
    regions_text = "".join("\t".join(regions[region]) + "\n" for region in sorted(regions))
    different = False
    for name, text in (("locales.tsv", locales_text), ("regions.tsv", regions_text)):
        if "--check" in sys.argv:
            different |= (target / name).read_text() != text
        else:
            (target / name).write_text(text)
    print(f"{len(rows)} locales, {len(regions)} regions", file=sys.stderr)
    sys.exit(different)


main()
