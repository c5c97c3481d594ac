wpeinit
@echo off
echo Build farm: ready.
