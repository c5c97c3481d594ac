@echo off
echo Hello from the first boot of %COMPUTERNAME%
