#Requires -Version 5.1
#Requires -RunAsAdministrator
<#
.SYNOPSIS
Adds the exclusions that FSLogix needs, and no others.
.DESCRIPTION
Containers lie one folder down, and a wildcard of a file applies to the last folder only: hence
share\*\*.VHDX. The extensions VHD and VHDX are not excluded as such: that would hold for the whole
machine and defeat the indicators that block files.
Sources: the exclusion lists of FSLogix, and
https://learn.microsoft.com/en-us/defender-endpoint/configure-extension-file-exclusions-microsoft-defender-antivirus
.PARAMETER Profiles
The shares with profile containers.
.PARAMETER CloudCache
Also exclude the local cache and proxy folders of Cloud Cache.
.EXAMPLE
.\fslogix-exclusions.ps1 -WhatIf
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [string[]] $Profiles = @({{profiles}}),
    [switch] $CloudCache = {{cloud-cache}}
)

$ErrorActionPreference = 'Stop'
if ([Environment]::Is64BitOperatingSystem -and -not [Environment]::Is64BitProcess) {
    throw 'Run this in the 64-bit Windows PowerShell: a 32-bit one sees another registry and other folders.'
}
$Profiles = @($Profiles | Where-Object { $_ })
if ($Profiles.Count -eq 0) { throw 'Give the shares with profile containers with -Profiles \\server\share.' }
foreach ($share in $Profiles) {
    if ($share -notmatch '^\\\\[^\\]+\\[^\\]+') { throw "$share is no share; it looks like \\server\share." }
}

$wanted = @()
foreach ($folder in '%TEMP%', '%Windir%\TEMP') {
    foreach ($type in 'VHD', 'VHDX') { $wanted += "$folder\*\*.$type" }
}
foreach ($share in $Profiles) {
    foreach ($type in 'VHD', 'VHDX') {
        foreach ($end in '', '.lock', '.meta', '.metadata') { $wanted += $share.TrimEnd('\') + "\*\*.$type$end" }
    }
}
if ($CloudCache) { $wanted += '%ProgramData%\FSLogix\Cache\*', '%ProgramData%\FSLogix\Proxy\*' }

$preferences = Get-MpPreference
$present = @($preferences.ExclusionPath | Where-Object { $_ })
if (@($present | Where-Object { $_ -like 'N/A:*' }).Count -gt 0) {
    # A policy hides the list; the registry has it.
    $present = @()
    foreach ($root in 'HKLM:\SOFTWARE\Policies\Microsoft\Windows Defender', 'HKLM:\SOFTWARE\Microsoft\Windows Defender') {
        $key = Get-Item -LiteralPath "$root\Exclusions\Paths" -ErrorAction SilentlyContinue
        if ($key) { $present += $key.GetValueNames() }
    }
}
$missing = @($wanted | Where-Object { $present -notcontains $_ })
foreach ($path in $missing) {
    if ($PSCmdlet.ShouldProcess($path, 'Exclude from scans')) { Add-MpPreference -ExclusionPath $path }
}
$broad = @($preferences.ExclusionExtension | Where-Object { $_ -match '^\.?vhdx?$' })
if ($broad.Count -gt 0) {
    Write-Warning "The extensions $($broad -join ', ') are excluded on the whole machine. Remove them: Remove-MpPreference -ExclusionExtension $($broad -join ',')"
}
Write-Output "$($wanted.Count - $missing.Count) of $($wanted.Count) exclusions were there already."
