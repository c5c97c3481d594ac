@echo off
rem Names the machine after its serial number.
powershell -NoProfile -Command "Rename-Computer -NewName (Get-CimInstance Win32_BIOS).SerialNumber -Force"
